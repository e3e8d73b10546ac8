import { type CompanyWaitOptions, companyWait } from "./company-wait.ts";
import { Overloaded, PersistorError } from "./errors.ts";

export interface GroupCommitOptions<T> extends CompanyWaitOptions {
  /** A flush starts at once when this many items are gathered. */
  maxItems: number;
  /** A flush starts at once when this many bytes are gathered, by `sizeOf`. */
  maxBytes: number;
  /** Flushes under way at once; while they run the next batch gathers. */
  maxInFlight: number;
  /** Items held in all, gathered or being flushed; a submission past it is refused with `Overloaded`. */
  maxHeldItems: number;
  /** The same by bytes. Default: no limit. */
  maxHeldBytes?: number;
  sizeOf(item: T): number;
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
  let inFlight = 0;
  let closing = false;
  let idle: (() => void) | undefined;

  const isFull = () => gatheredItems >= options.maxItems || gatheredBytes >= options.maxBytes;

  const wait = companyWait(
    options,
    () => gathered.length,
    () => startIfReady(),
  );

  const startIfReady = () => {
    if (gathered.length === 0) return;
    const ready = wait.isOver() || closing || isFull();
    if (ready && inFlight < options.maxInFlight) start();
    else if (!ready) wait.begin();
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
    return batch;
  };

  const bytesOf = (items: readonly T[]) => items.reduce((sum, item) => sum + options.sizeOf(item), 0);

  const start = () => {
    const batch = takeBatch();
    wait.end(batch.length);
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
    const flushed = await flushWhole(items).catch((error: unknown) => ({ error }));
    heldItems -= items.length;
    for (const { bytes } of batch) heldBytes -= bytes;
    // Before they are answered: some may be back at once.
    wait.answered(batch.length);
    let from = 0;
    for (const submission of batch) {
      if ("error" in flushed) submission.reject(flushed.error);
      else submission.resolve(flushed.results.slice(from, from + submission.items.length));
      from += submission.items.length;
    }
  };

  const flushWhole = async (items: readonly T[]) => {
    const results = await flush(items);
    if (results.length === items.length) return { results };
    throw new Error(`flushing ${items.length} items: got ${results.length} results; the flush must return one per item`);
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
      wait.joins();
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
