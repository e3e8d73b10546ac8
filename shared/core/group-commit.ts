import type { Clock } from "./clock.ts";
import { Overloaded, PersistorError } from "./errors.ts";

export interface GroupCommitOptions<T> {
  /** A flush starts at once when this many items are gathered. */
  maxItems: number;
  /** A flush starts at once when this many bytes are gathered, by `sizeOf`. */
  maxBytes: number;
  /** Longest wait for company, in milliseconds. It adapts: submissions that stay alone wait ever shorter, down to a sixteenth. */
  maxWaitMs: number;
  /**
   * A wait ends early where nobody came for this long, in milliseconds, and for much longer than they came at before: whoever could come is
   * there. Default: never.
   */
  quietMs?: number;
  /** Flushes under way at once; while they run the next batch gathers. */
  maxInFlight: number;
  /** Items held in all, gathered or being flushed; a submission past it is refused with `Overloaded`. */
  maxHeldItems: number;
  /** The same by bytes. Default: no limit. */
  maxHeldBytes?: number;
  sizeOf(item: T): number;
  clock: Clock;
}

/**
 * Joins what concurrent callers hold into one flush, and answers each caller only when its own items are done:
 * batching without giving up at-least-once.
 */
export interface GroupCommit<T, R> {
  /** Resolves to one result per item, by position. Throws what the flush threw, `Overloaded`, or `aborted` after `close`. */
  submit(items: readonly T[]): Promise<R[]>;
  /** Flushes what is held without further waiting; resolves when all of it is done. Later submissions are refused. */
  close(): Promise<void>;
}

interface Submission<T, R> {
  items: readonly T[];
  bytes: number;
  resolve(results: R[]): void;
  reject(error: unknown): void;
}

const SHORTEST_WAIT_SHARE = 1 / 16;
/** Arrivals at random leave a gap of this many times the usual one about once in three thousand. */
const QUIET_GAPS = 8;

/**
 * Makes a group commit over `flush`, which gets the joined items and returns one result per item, by position.
 *
 * @example
 * const commits = groupCommit((records) => upsert(records), { maxItems: 5000, … });
 * await commits.submit(myRecords); // resolves when mine are stored
 */
export function groupCommit<T, R>(
  flush: (items: readonly T[]) => Promise<readonly R[]>,
  options: GroupCommitOptions<T>,
): GroupCommit<T, R> {
  let gathered: Submission<T, R>[] = [];
  let gatheredItems = 0;
  let gatheredBytes = 0;
  let heldItems = 0;
  let heldBytes = 0;
  let firstSubmitMs = 0;
  let lastSubmitMs = 0;
  let inFlight = 0;
  let waitMs = options.maxWaitMs;
  let timer: AbortController | undefined;
  let due = false;
  let closing = false;
  let idle: (() => void) | undefined;

  const isFull = () => gatheredItems >= options.maxItems || gatheredBytes >= options.maxBytes;

  const armTimer = () => {
    timer = new AbortController();
    void waitForCompany(timer.signal);
  };

  const waitForCompany = async (signal: AbortSignal) => {
    const endMs = options.clock.nowMs() + waitMs;
    for (;;) {
      const nowMs = options.clock.nowMs();
      const leftMs = Math.min(endMs - nowMs, lastSubmitMs + quietLimitMs() - nowMs);
      if (leftMs <= 0) break;
      await options.clock.sleep(Math.min(leftMs, options.quietMs ?? leftMs), signal);
      if (signal.aborted) return;
    }
    due = true;
    startIfReady();
  };

  const quietLimitMs = () => {
    if (options.quietMs === undefined || gathered.length < 2) return Number.POSITIVE_INFINITY;
    return Math.max(options.quietMs, (QUIET_GAPS * (lastSubmitMs - firstSubmitMs)) / (gathered.length - 1));
  };

  const startIfReady = () => {
    if (gathered.length === 0) return;
    const ready = due || closing || isFull();
    if (ready && inFlight < options.maxInFlight) start();
    else if (!ready && !timer) armTimer();
  };

  /** Whole submissions only, so that each caller's results come from one flush; the rest waits for the next one. */
  const takeBatch = (): Submission<T, R>[] => {
    let items = 0;
    let count = 0;
    while (count < gathered.length && (count === 0 || items + (gathered[count] as Submission<T, R>).items.length <= options.maxItems)) {
      items += (gathered[count++] as Submission<T, R>).items.length;
    }
    const batch = gathered.slice(0, count);
    gathered = gathered.slice(count);
    gatheredItems -= items;
    for (const { bytes } of batch) gatheredBytes -= bytes;
    firstSubmitMs = lastSubmitMs;
    return batch;
  };

  const bytesOf = (items: readonly T[]) => items.reduce((sum, item) => sum + options.sizeOf(item), 0);

  const adaptWait = (joined: number) => {
    waitMs = joined > 1 ? Math.min(options.maxWaitMs, waitMs * 2) : Math.max(options.maxWaitMs * SHORTEST_WAIT_SHARE, waitMs / 2);
  };

  const start = () => {
    timer?.abort();
    timer = undefined;
    due = false;
    const batch = takeBatch();
    adaptWait(batch.length);
    inFlight++;
    void runFlush(batch).finally(() => {
      inFlight--;
      if (inFlight === 0 && gathered.length === 0) idle?.();
      startIfReady();
    });
    startIfReady();
  };

  const runFlush = async (batch: readonly Submission<T, R>[]) => {
    const items = batch.flatMap((submission) => submission.items);
    try {
      const results = await flush(items);
      if (results.length !== items.length) {
        throw new Error(`flushing ${items.length} items: got ${results.length} results; the flush must return one per item`);
      }
      let from = 0;
      for (const submission of batch) {
        submission.resolve(results.slice(from, from + submission.items.length));
        from += submission.items.length;
      }
    } catch (error) {
      for (const submission of batch) submission.reject(error);
    } finally {
      heldItems -= items.length;
      for (const { bytes } of batch) heldBytes -= bytes;
    }
  };

  return {
    submit(items) {
      if (closing)
        return Promise.reject(
          new PersistorError("aborted", "submitting to a group commit: it is closing; send again later", { retryable: true }),
        );
      if (items.length === 0) return Promise.resolve([]);
      const bytes = bytesOf(items);
      if (heldItems > 0 && (heldItems + items.length > options.maxHeldItems || heldBytes + bytes > (options.maxHeldBytes ?? Infinity))) {
        return Promise.reject(new Overloaded(`submitting ${items.length} items: ${heldItems} are held already; slow down and send again`));
      }
      heldItems += items.length;
      heldBytes += bytes;
      gatheredItems += items.length;
      gatheredBytes += bytes;
      lastSubmitMs = options.clock.nowMs();
      if (gathered.length === 0) firstSubmitMs = lastSubmitMs;
      return new Promise<R[]>((resolve, reject) => {
        gathered.push({ items, bytes, resolve, reject });
        startIfReady();
      });
    },
    async close() {
      closing = true;
      if (inFlight === 0 && gathered.length === 0) return;
      const done = new Promise<void>((resolve) => {
        idle = resolve;
      });
      startIfReady();
      await done;
    },
  };
}
