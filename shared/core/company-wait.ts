import type { Clock } from "./clock.ts";

export interface CompanyWaitOptions {
  /** Longest wait for company, in milliseconds. It adapts: submissions that stay alone wait ever shorter, down to a sixteenth. */
  maxWaitMs: number;
  /**
   * A wait ends early where nobody came for this long, in milliseconds, and for much longer than they came at before: whoever could come is
   * there. Default: never.
   */
  quietMs?: number;
  /**
   * Where callers come back as soon as they are answered: how long they are expected, in milliseconds. A wait ends at once when as many are there
   * as were answered and as waited meanwhile, and until then not for quiet. Default: nobody is expected.
   */
  returnMs?: number;
  clock: Clock;
}

/** What is gathered waits for company: how long it does, and whether that is over. */
export interface CompanyWait {
  /** Tells of one more, before it is counted as gathered. */
  joins(): void;
  /** Whether what is gathered waits no longer. */
  isOver(): boolean;
  /** Begins to wait, unless that has begun; `onOver` is called once it is over by time. */
  begin(): void;
  /** Ends the wait, as so many are taken; who is left waits anew. */
  end(taken: number): void;
  /** Tells that so many were answered, who may come back: whoever waits already, were it long enough, waits for them. */
  answered(count: number): void;
}

const SHORTEST_WAIT_SHARE = 1 / 16;
/** Arrivals at random leave a gap of this many times the usual one about once in three thousand. */
const QUIET_GAPS = 8;

/** Makes the wait of a group commit; `gathered` says how many wait. */
export function companyWait(options: CompanyWaitOptions, gathered: () => number, onOver: () => void): CompanyWait {
  const { clock, maxWaitMs, quietMs, returnMs } = options;
  let waitMs = maxWaitMs;
  let endMs = 0;
  let firstMs = 0;
  let lastMs = 0;
  /** How many are there once all are back, and until when they are expected. */
  let expected = 0;
  let expectedUntilMs = 0;
  let timer: AbortController | undefined;
  let isDue = false;

  const quietLimitMs = () => {
    if (quietMs === undefined || gathered() < 2) return Number.POSITIVE_INFINITY;
    return Math.max(quietMs, (QUIET_GAPS * (lastMs - firstMs)) / (gathered() - 1), expectedUntilMs - lastMs);
  };

  const run = async (signal: AbortSignal) => {
    for (;;) {
      const nowMs = clock.nowMs();
      const leftMs = Math.min(endMs - nowMs, lastMs + quietLimitMs() - nowMs);
      if (leftMs <= 0) break;
      await clock.sleep(Math.min(leftMs, quietMs ?? leftMs), signal);
      if (signal.aborted) return;
    }
    isDue = true;
    onOver();
  };

  const start = (untilMs: number) => {
    endMs = untilMs;
    timer = new AbortController();
    void run(timer.signal);
  };

  const stop = () => {
    timer?.abort();
    timer = undefined;
    isDue = false;
  };

  return {
    joins() {
      const nowMs = clock.nowMs();
      if (gathered() === 0) firstMs = nowMs;
      lastMs = nowMs;
    },
    isOver: () => isDue || (clock.nowMs() < expectedUntilMs && gathered() >= expected),
    begin() {
      if (!timer) start(clock.nowMs() + waitMs);
    },
    end(taken) {
      stop();
      expectedUntilMs = 0;
      firstMs = lastMs;
      waitMs = taken > 1 ? Math.min(maxWaitMs, waitMs * 2) : Math.max(maxWaitMs * SHORTEST_WAIT_SHARE, waitMs / 2);
    },
    answered(count) {
      if (returnMs === undefined) return;
      stop();
      expected = gathered() + count;
      expectedUntilMs = clock.nowMs() + returnMs;
      if (gathered() > 0) start(Math.max(endMs, expectedUntilMs));
    },
  };
}
