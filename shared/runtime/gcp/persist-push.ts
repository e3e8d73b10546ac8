import type { HttpFunction } from "@google-cloud/functions-framework";
import type { Origin } from "../../adapters/brokers/pubsub/message.ts";
import { giveUp } from "../../core/dead-letter/give-up.ts";
import { type GroupCommit, groupCommit } from "../../core/group-commit.ts";
import { contentSize, type Message } from "../../core/message.ts";
import { type Outcome, persist } from "../../core/persist/persist.ts";
import { notFound } from "../http/problem.ts";
import { openedOnce } from "../opened-once.ts";
import { type BrokerName, brokerIdOf } from "../ports.ts";
import type { PipelineSettings } from "../settings/pipelines.ts";
import { type TriggerReply, triggerHandler } from "./handler.ts";
import type { FunctionProcess } from "./process.ts";
import { readPush, replyOf } from "./push-source.ts";

const NAME = "persist";
/** Below the shortest time after which Pub/Sub pushes again that is of use. */
const LIMIT_MS = 55_000;
const FLUSHES_IN_FLIGHT = 2;
const QUIET_MS = 10;
/** What one instance holds for one pipeline; past it Pub/Sub is told to slow down. */
const MAX_HELD_MESSAGES = 10_000;
const MAX_HELD_BYTES = 64_000_000;

/** Persists what Pub/Sub pushes to `/persist/{pipeline}`; each push is answered once its message is stored. */
export function persistPushes(process: FunctionProcess): HttpFunction {
  const { settings, clock, log, meter } = process;
  const commits = new Map<string, GroupCommit<Message, Outcome>>();
  process.beforeClose(() => Promise.all([...commits.values()].map((commit) => commit.close())));

  const commitOf = openedOnce(async (name: string) => {
    const pipeline = await process.pipeline(name);
    const { maxMessages, maxBytes, triggerMaxWaitMs } = (settings.pipelines[name] as PipelineSettings).batch;
    const commit = groupCommit((messages: readonly Message[]) => persist(pipeline, messages, { clock, log, meter }), {
      maxItems: maxMessages,
      maxBytes,
      maxWaitMs: triggerMaxWaitMs,
      quietMs: QUIET_MS,
      maxInFlight: FLUSHES_IN_FLIGHT,
      maxHeldItems: MAX_HELD_MESSAGES,
      maxHeldBytes: MAX_HELD_BYTES,
      sizeOf: contentSize,
      clock,
    });
    commits.set(name, commit);
    return commit;
  });

  return triggerHandler(process, { name: NAME, limitMs: LIMIT_MS }, async (request): Promise<TriggerReply> => {
    const name = pipelineNameOf(request.segments, process, PUSHING);
    const pushed = readPush(request, sourceOf(name, process), clock.nowMs());
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
export function pipelineNameOf(segments: readonly string[], { settings }: FunctionProcess, brokers: readonly BrokerName[]): string {
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
