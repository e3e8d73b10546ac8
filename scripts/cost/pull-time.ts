import type { Inputs } from "./inputs.ts";

/** One round of the schedule. */
export interface Drains {
  /** Drains started at once: one keeps up unless there is more than an instance can take in its time budget. */
  drains: number;
  /** How long each runs. */
  drainSeconds: number;
  /** Batches of all of them. */
  batches: number;
}

/**
 * What it takes to drain a subscription every `everySeconds`, as pull.ts does it: full batches as long as there is a backlog, and a last one of
 * what comes within `batchWaitSeconds`. Where that fills a batch too, the drain goes on until its time is over.
 */
export function drainsOf({ messagesPerSecond, measured, groupCommit, pull }: Inputs): Drains {
  const { everySeconds, batchWaitSeconds, openSeconds } = pull;
  const budgetSeconds = Math.min(pull.budgetSeconds, everySeconds);
  const perDrain = measured.pullMessagesPerSecond * (budgetSeconds - openSeconds);
  const drains = Math.ceil((messagesPerSecond * everySeconds) / perDrain);
  const rate = messagesPerSecond / drains;
  const inWait = rate * batchWaitSeconds;
  if (inWait >= groupCommit.maxMessages) {
    return { drains, drainSeconds: budgetSeconds, batches: (messagesPerSecond * everySeconds) / groupCommit.maxMessages };
  }
  // The backlog is what came since the last drain ended, and what comes while it is worked off.
  const workedOff = rate / (measured.pullMessagesPerSecond - rate);
  const drainSeconds = Math.min(budgetSeconds, (openSeconds + workedOff * everySeconds + batchWaitSeconds) / (1 + workedOff));
  const backlog = Math.max(0, rate * everySeconds - inWait);
  const batches = drains * (Math.ceil(backlog / groupCommit.maxMessages) + 1 - Math.exp(-inWait));
  return { drains, drainSeconds, batches };
}
