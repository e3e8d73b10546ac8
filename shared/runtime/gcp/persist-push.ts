import type { HttpFunction } from "@google-cloud/functions-framework";
import type { Origin } from "../../adapters/brokers/pubsub/message.ts";
import { giveUp } from "../../core/dead-letter/give-up.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import type { FunctionProcess } from "../function-process.ts";
import { notFound } from "../http/problem.ts";
import { persistCommits } from "../persist-commits.ts";
import { brokerIdOf } from "../ports.ts";
import type { PipelineSettings, SourceKind } from "../settings/pipelines.ts";
import { type TriggerReply, triggerHandler } from "./handler.ts";
import { readPush, replyOf } from "./push-source.ts";

const NAME = "persist";
/** Below the shortest time after which Pub/Sub pushes again that is of use. */
const LIMIT_MS = 55_000;
const FLUSHES_IN_FLIGHT = 2;

/** Persists what Pub/Sub pushes to `/persist/{pipeline}`; each push is answered once its message is stored. */
export function persistPushes(process: FunctionProcess): HttpFunction {
  const commitOf = persistCommits(process, { flushesInFlight: FLUSHES_IN_FLIGHT });
  return triggerHandler(process, { name: NAME, limitMs: LIMIT_MS }, async (request): Promise<TriggerReply> => {
    const name = pipelineNameOf(request.segments, process, PUSHING);
    const pushed = readPush(request, sourceOf(name, process), process.clock.nowMs());
    const commit = await commitOf(name);
    if ("undecodable" in pushed) {
      return replyOf(await giveUp(pushed.undecodable, "undecodable", pushed.reason, () => process.pipeline(name), process));
    }
    const [outcome] = await commit.submit([pushed.message]);
    return replyOf(outcome as Outcome);
  });
}

/** Brokers that push. */
const PUSHING = ["pubsub"] as const;

/** The pipeline that a path names, of one of these brokers. Throws HttpError 404: Pub/Sub pushes again until the settings know it. */
export function pipelineNameOf(segments: readonly string[], { settings }: FunctionProcess, brokers: readonly SourceKind[]): string {
  const [name = ""] = segments;
  const broker = settings.pipelines[name]?.source.broker;
  if (segments.length === 1 && broker && brokers.includes(broker)) return name;
  throw notFound(`there is no pipeline of ${brokers.join(" or ")} at this path; it ends in the pipeline's name, as in PERSISTOR_PIPELINES`);
}

/** The source of a pipeline, as its messages name it. */
function sourceOf(name: string, { settings }: FunctionProcess): Origin {
  const { source } = settings.pipelines[name] as PipelineSettings;
  return { id: brokerIdOf(source), topic: source.topic };
}
