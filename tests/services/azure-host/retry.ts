import type { RpcRetryOptions } from "./rpc.ts";

const RANDOM_RANGE = 0.2;

/**
 * Milliseconds before the retry of this number (1, 2, …). Exponential back-off as in azure-webjobs-sdk
 * RandomizedExponentialBackoffStrategy: the minimum plus (2^(n−1) − 1) times the minimum, give or take a fifth, up to the maximum.
 */
export function nextRetryDelayMs(policy: RpcRetryOptions, retry: number): number {
  const ms = (interval: { seconds: number } | undefined) => (interval?.seconds ?? 0) * 1000;
  if (policy.retryStrategy !== "exponentialBackoff") return ms(policy.delayInterval);
  const minimumMs = ms(policy.minimumInterval);
  const factor = (2 ** (retry - 1) - 1) * (1 - RANDOM_RANGE + 2 * RANDOM_RANGE * Math.random());
  return Math.min(minimumMs + factor * minimumMs, ms(policy.maximumInterval));
}
