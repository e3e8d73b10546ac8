import type { Message } from "../../../../core/message.ts";
import { backOffMs } from "../../../../core/retry.ts";
import { createWindow, type Held, type HeldPartition } from "../../../support/pulling/window.ts";
import type { Committed, Note } from "../group/offsets.ts";
import { type RecordBatch, readBatches } from "../records/batch.ts";
import { createMessageReader, type Origin } from "../records/message.ts";
import type { FetchedPartition } from "../wire/fetch.ts";
import { createTransactionFilter } from "./transactions.ts";

const BACK_OFF = { firstDelayMs: 1_000, maxDelayMs: 60_000 } as const;

/** One partition that this consumer holds: what was fetched of it, what is handed over, and how far it is settled. */
export class AssignedPartition implements HeldPartition {
  readonly index: number;
  /** Committed with each offset. */
  readonly note: Note;
  /** Offset to be fetched next. */
  position: number;
  /** Committed last. */
  committed: number;
  /** False once the partition is another consumer's, or the topic another one. */
  isHeld = true;
  /** Bytes that were fetched and not read yet. */
  waitingBytes = 0;
  /** Why its records cannot be read, and since when, by `performance.now()`; undefined where they can. */
  fault: { error: Error; sinceMs: number; atMs: number } | undefined;
  /** Nothing of it is fetched before, by `performance.now()`. */
  fetchAtMs = 0;

  readonly #read: (batch: RecordBatch, from: number) => Generator<Message>;
  #waiting: { batch: RecordBatch; isWanted: boolean }[] = [];
  #reading: Generator<Message> | undefined;
  #peeked: Message | undefined;
  #faults = 0;
  /** Behind what was taken last. */
  #takenTo: number;
  readonly #window = createWindow<number>();

  constructor(origin: Origin, { offset, note }: Committed) {
    this.index = origin.partition;
    this.note = note;
    this.position = offset;
    this.committed = offset;
    this.#takenTo = offset;
    this.#read = createMessageReader(origin);
  }

  /** Adds what was fetched from `position` on. Throws BadBatch, having added what lies before the bad one. */
  add({ records, aborted }: FetchedPartition): void {
    const isWanted = createTransactionFilter(aborted);
    for (const batch of readBatches(records)) {
      const wanted = isWanted(batch);
      if (batch.endOffset <= this.position) continue;
      this.#waiting.push({ batch, isWanted: wanted });
      this.waitingBytes += batch.records.length;
      this.position = batch.endOffset;
    }
  }

  /** Goes on at a later offset: what lies before it is not in the log any more. */
  skipTo(offset: number): void {
    this.position = offset;
    if (this.#waiting.length === 0 && !this.#peeked) this.#takenTo = offset;
  }

  /** The next message in order; undefined where none has been fetched. Sets `fault` where its records cannot be read: they are then fetched again. */
  peek(): Message | undefined {
    if (this.#peeked || this.#window.isFull()) return this.#peeked;
    try {
      this.#peeked = this.#next();
    } catch (error) {
      this.fail(error as Error);
    }
    return this.#peeked;
  }

  /** Notes that its records cannot be read: they are fetched again, the later the more often that happened. */
  fail(error: Error): void {
    const atMs = performance.now();
    this.fault = { error, sinceMs: this.fault?.sinceMs ?? atMs, atMs };
    this.fetchAtMs = atMs + backOffMs(++this.#faults, BACK_OFF);
    this.#waiting = [];
    this.#reading = undefined;
    this.waitingBytes = 0;
    this.position = this.#takenTo;
  }

  #next(): Message | undefined {
    for (;;) {
      const current = this.#waiting[0];
      if (!current) return undefined;
      if (current.isWanted) {
        this.#reading ??= this.#read(current.batch, this.#takenTo);
        const { value, done } = this.#reading.next();
        if (!done) return value;
      }
      this.#waiting.shift();
      this.#reading = undefined;
      this.#takenTo = current.batch.endOffset;
      this.waitingBytes -= current.batch.records.length;
    }
  }

  /** Takes the message that was peeked at, to be handed over. */
  take(bytes: number): Held {
    const message = this.#peeked as Message;
    const offset = Number(message.sequence);
    this.#peeked = undefined;
    this.#faults = 0;
    this.fault = undefined;
    this.#takenTo = offset + 1;
    return this.#window.add(message, bytes, offset, this);
  }

  settle(held: Held): void {
    this.#window.settle(held);
  }

  /** Behind the last offset before which all is settled, or holds no message. */
  get settledTo(): number {
    return this.#window.first()?.from ?? this.#takenTo;
  }

  open(): Iterable<Held> {
    return this.#window.open();
  }
}
