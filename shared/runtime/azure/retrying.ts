import type { RetryOptions } from "@azure/functions";

/** A pointer that moves on success and on failure stays where it is while the platform retries. */
export const FOR_EVER: RetryOptions = {
  strategy: "exponentialBackoff",
  maxRetryCount: -1,
  minimumInterval: { seconds: 1 },
  maximumInterval: { seconds: 60 },
};

/** How long one invocation holds messages that cannot be handled now: well within the shortest limit of a function (5 minutes). */
export const BUDGET_MS = 120_000;
