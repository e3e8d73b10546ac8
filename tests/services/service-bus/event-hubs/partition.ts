import type { SentMessage } from "../message.ts";
import type { AmqpError } from "../rhea-server.ts";
import { sendersAnnotations } from "../stored-message.ts";
import type { LastEnqueued, StoredEvent } from "./event.ts";
import { invalid, type Position } from "./position.ts";

/** Who reads a partition: a link to a client. */
export interface Reader {
  /** Sequence number of what it reads next. */
  next: number;
  /** How many it can take now. */
  free(): number;
  deliver(event: StoredEvent): void;
  /** What there is for it now has been delivered. */
  onFlowed(): void;
}

/** The events of a partition, numbered from 0, each for every reader. */
export interface Partition {
  readonly id: string;
  /** Of the oldest event that is kept; of the next one, where none is. */
  readonly firstSequence: number;
  readonly last: LastEnqueued;
  readonly isEmpty: boolean;
  append(messages: readonly SentMessage[]): void;
  /** Sequence number of the event that a position names, and why there is none. An event that is gone is the oldest one. */
  find(position: Position): number | { error: AmqpError };
  /** Forgets the events before that number. */
  truncate(before: number): void;
  events(limit: number): readonly StoredEvent[];
  join(reader: Reader): void;
  leave(reader: Reader): void;
  /** Delivers what can be delivered. */
  flow(): void;
}

/** What a partition tells that never had an event: .NET's first day. */
const NEVER: LastEnqueued = { sequence: -1, offset: "-1", enqueuedAtMs: -62_135_596_800_000 };

/** An empty partition. `mayFlow`: whether an event may be delivered now; who says no calls `flow` later. */
export function createPartition(id: string, mayFlow: () => boolean): Partition {
  const readers = new Set<Reader>();
  let events: StoredEvent[] = [];
  let firstSequence = 0;
  let bytes = 0;
  let last = NEVER;

  const append = (sent: SentMessage) => {
    const event = {
      ...sent,
      annotations: sendersAnnotations(sent.annotations),
      sequence: last.sequence + 1,
      offset: bytes,
      enqueuedAtMs: Date.now(),
    };
    bytes += sent.bytes.length;
    last = { sequence: event.sequence, offset: String(event.offset), enqueuedAtMs: event.enqueuedAtMs };
    events.push(event);
  };
  const feed = (reader: Reader) => {
    reader.next = Math.max(reader.next, firstSequence);
    while (reader.next <= last.sequence && reader.free() > 0 && mayFlow()) {
      reader.deliver(events[reader.next - firstSequence] as StoredEvent);
      reader.next++;
    }
    reader.onFlowed();
  };
  const flow = () => {
    for (const reader of readers) feed(reader);
  };
  const where = (isAfter: (event: StoredEvent) => boolean) => firstSequence + firstIndex(events, isAfter);
  return {
    id,
    get firstSequence() {
      return firstSequence;
    },
    get last() {
      return last;
    },
    get isEmpty() {
      return events.length === 0;
    },
    append(messages) {
      messages.forEach(append);
      flow();
    },
    find(position) {
      if (position.by === "latest") return last.sequence + 1;
      if (position.by === "time") return where(({ enqueuedAtMs }) => enqueuedAtMs > position.afterMs);
      const { by, value, isInclusive } = position;
      if (value > Number(last[by]))
        return invalid(`The supplied ${by} '${value}' is invalid. The last ${by} in the system is '${last[by]}'.`);
      return where((event) => event[by] > value || (isInclusive && event[by] === value));
    },
    truncate(before) {
      const count = Math.min(Math.max(0, before - firstSequence), events.length);
      events = events.slice(count);
      firstSequence += count;
    },
    events: (limit) => events.slice(0, limit),
    join: (reader) => void readers.add(reader),
    leave: (reader) => void readers.delete(reader),
    flow,
  };
}

/** By halving: `isAfter` holds from one item on. */
function firstIndex<T>(items: readonly T[], isAfter: (item: T) => boolean): number {
  let [from, to] = [0, items.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (isAfter(items[middle] as T)) to = middle;
    else from = middle + 1;
  }
  return from;
}
