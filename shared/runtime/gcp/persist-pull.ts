import type { HttpFunction } from "@google-cloud/functions-framework";
import { drainedWhen } from "../drained-when.ts";
import type { FunctionProcess } from "../function-process.ts";
import { HttpError } from "../http/problem.ts";
import { persistSource } from "../persist-source.ts";
import { type TriggerRequest, triggerHandler } from "./handler.ts";
import { pipelineNameOf } from "./persist-push.ts";

const NAME = "persist-pull";
/** A scheduler waits for its answer for 30 minutes at most (https://cloud.google.com/scheduler/docs/reference/rest). */
const MAX_SECONDS = 1_500;
const DEFAULT_SECONDS = 240;
/** What is under way when the time is over is still stored and settled. */
const GRACE_MS = 60_000;
/** A batch that is not full after this time ends the drain. */
const BATCH_WAIT_MS = 2_000;

/** Brokers that are pulled from, without a disk of this function's. */
const PULLED = ["pubsub", "kafka", "service-bus", "event-hubs"] as const;

/** Persists what waits in the subscription of `/persist-pull/{pipeline}`, until what waited is stored or `?seconds=` are over; for a scheduler. */
export function persistPulls(process: FunctionProcess): HttpFunction {
  const drain = async (name: string, budgetMs: number, stopping: AbortSignal) => {
    const { clock, log } = process;
    const startedMs = clock.nowMs();
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(budgetMs)]);
    const pipeline = await process.pipeline(name);
    const source = await process.openSource(name);
    try {
      const { stored, released, batches, ...rest } = await persistSource(pipeline, source, process, {
        signal,
        maxWaitMs: BATCH_WAIT_MS,
        until: drainedWhen(process.settings.pipelines[name]?.source),
      });
      const seconds = (clock.nowMs() - startedMs) / 1000;
      const answer = {
        pipeline: name,
        stored,
        dead_lettered: rest["dead-lettered"],
        released,
        batches,
        seconds,
        is_drained: !signal.aborted,
      };
      log.info("drained a subscription", answer);
      return answer;
    } finally {
      await source.close();
    }
  };

  return triggerHandler(process, { name: NAME, limitMs: MAX_SECONDS * 1000 + GRACE_MS }, async (request) => {
    if (request.method !== "POST") throw new HttpError(405, "a drain is asked for by POST", { headers: { allow: "POST" } });
    const name = pipelineNameOf(request.segments, process, PULLED);
    const budgetMs = secondsOf(request) * 1000;
    return { status: 200, body: await process.runLong((stopping) => drain(name, budgetMs, stopping)) };
  });
}

function secondsOf({ query }: TriggerRequest): number {
  const { seconds: text = String(DEFAULT_SECONDS) } = query;
  const seconds = typeof text === "string" && /^\d+$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= MAX_SECONDS) return seconds;
  const message = `must be a whole number from 1 to ${MAX_SECONDS}`;
  throw new HttpError(400, `the parameter seconds ${message}`, { members: { errors: [{ path: "seconds", message }] } });
}
