import type { Inputs } from "./inputs.ts";

/** A function whose invocations arrive at random and wait for each other in a group commit. */
export interface SharedFunction {
  requestsPerSecond: number;
  /** Longest wait for company; 0 joins nothing. */
  maxWaitSeconds: number;
  /** Between the end of the wait and the answer. */
  flushSeconds: number;
  /** A batch has no more requests. */
  maxRequests: number;
  /** CPU seconds needed in one second. */
  cpuShare: number;
}

export interface FunctionTime {
  instances: number;
  requestsPerBatch: number;
  /** Billed instance time for each second of the clock, over all instances. */
  instanceSecondsPerSecond: number;
}

/** How often a wait halves: group-commit.ts goes down to a sixteenth. */
const HALVINGS = 4;

/** Instances, batches and billed time of a function, requests spread evenly over the instances. */
export function timeOf(work: SharedFunction, instance: Inputs["instance"]): FunctionTime {
  const { requestsPerSecond, maxWaitSeconds, flushSeconds, maxRequests, cpuShare } = work;
  const inFlight = requestsPerSecond * (maxWaitSeconds / 2 + flushSeconds);
  const instances = Math.ceil(Math.max(cpuShare / instance.vcpu, inFlight / instance.concurrency) / instance.targetShare);
  const rate = requestsPerSecond / instances;
  const longest = (Math.min(maxRequests, instance.concurrency) - 1) / rate;
  const waitSeconds = Math.min(meanWait(rate, maxWaitSeconds), longest);
  return {
    instances,
    requestsPerBatch: 1 + rate * waitSeconds,
    instanceSecondsPerSecond: instances * billedShare(rate, waitSeconds, flushSeconds, instance.billedStepSeconds),
  };
}

/**
 * Mean wait of a batch, in seconds, where requests come at random: a wait that found company doubles up to the longest, one that did not
 * halves, so that the levels are a chain of births and deaths.
 */
export function meanWait(rate: number, maxWaitSeconds: number): number {
  if (maxWaitSeconds === 0) return 0;
  let wait = maxWaitSeconds;
  let weight = 1;
  let weights = 1;
  let weighted = wait;
  for (let i = 0; i < HALVINGS; i++) {
    const alone = Math.exp(-rate * wait);
    wait /= 2;
    weight *= alone / (1 - Math.exp(-rate * wait));
    weights += weight;
    weighted += weight * wait;
  }
  return weighted / weights;
}

/**
 * Share of an instance's time that is billed: while any request is under way, in whole steps. A batch begins with the first request after the
 * wait of the one before, so it may overlap that one's flush; the rest of the time passes until a request comes.
 */
export function billedShare(rate: number, waitSeconds: number, flushSeconds: number, stepSeconds: number): number {
  const billedAfterWaitSeconds = roundedUp(waitSeconds + flushSeconds, stepSeconds) - waitSeconds;
  return 1 - Math.exp(-rate * billedAfterWaitSeconds) / (1 + rate * waitSeconds);
}

/** `seconds` in whole steps; a hair over a step is still that step. */
export function roundedUp(seconds: number, stepSeconds: number): number {
  return Math.ceil(seconds / stepSeconds - 1e-9) * stepSeconds;
}
