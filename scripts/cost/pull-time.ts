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
 * What it takes to drain a subscription every `everySeconds`, as pull.ts does it: full batches as long as there is a backlog, then a batch
 * of what comes within each `emptyAfterSeconds`, until nothing does or the time is over.
 */
export function drainsOf({ messagesPerSecond, measured, groupCommit, pull }: Inputs): Drains {
  const { everySeconds, emptyAfterSeconds, openSeconds } = pull;
  const budgetSeconds = Math.min(pull.budgetSeconds, everySeconds);
  const perDrain = measured.pullMessagesPerSecond * (budgetSeconds - openSeconds);
  const drains = Math.ceil((messagesPerSecond * everySeconds) / perDrain);
  const rate = messagesPerSecond / drains;

  // The backlog is what came since the last drain ended, and what comes while it is worked off.
  const workedOff = rate / (measured.pullMessagesPerSecond - rate);
  const tailSeconds = emptyAfterSeconds * Math.exp(rate * emptyAfterSeconds);
  const wanted = (openSeconds + workedOff * everySeconds + tailSeconds) / (1 + workedOff);
  const drainSeconds = Math.min(budgetSeconds, wanted);

  const backlogSeconds = Math.min(drainSeconds, workedOff * (everySeconds - drainSeconds));
  const restSeconds = Math.max(0, drainSeconds - openSeconds - backlogSeconds);
  const tailMessages = rate * restSeconds;
  const backlog = Math.max(0, rate * everySeconds - tailMessages);
  const inWait = rate * emptyAfterSeconds;
  const tailBatches = Math.max((restSeconds / emptyAfterSeconds) * (1 - Math.exp(-inWait)), tailMessages / groupCommit.maxMessages);
  const batches = drains * (Math.ceil(backlog / groupCommit.maxMessages) + tailBatches);
  return { drains, drainSeconds, batches };
}
