import type { HttpFunction } from "@google-cloud/functions-framework";
import { giveUp } from "../../core/dead-letter/give-up.ts";
import { indexMessages } from "../../core/index/index-messages.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import type { FunctionProcess } from "../function-process.ts";
import { HttpError } from "../http/problem.ts";
import { indexCommits } from "../index-commits.ts";
import { writersByIndexTopic } from "../index-topics.ts";
import { openedOnce } from "../opened-once.ts";
import { triggerHandler } from "./handler.ts";
import { readPush, replyOf } from "./push-source.ts";

const NAME = "index";
const LIMIT_MS = 55_000;
const COMMIT = {
  maxItems: 4_000,
  maxBytes: 16_000_000,
  maxWaitMs: 100,
  quietMs: 10,
  maxInFlight: 4,
  maxHeldItems: 50_000,
} as const;

/** Stores the index records that Pub/Sub pushes to `/index`, or to `/index/{topic}` where there are several index topics. */
export function indexPushes(process: FunctionProcess): HttpFunction {
  const { clock, log, meter } = process;
  const open = openedOnce(async () => {
    const commits = indexCommits(process.collections(), { index: await process.index(), clock, log, meter }, COMMIT);
    process.beforeClose(() => Promise.all([...commits.values()].map((commit) => commit.close())));
    return commits;
  });

  return triggerHandler(process, { name: NAME, limitMs: LIMIT_MS }, async (request) => {
    const { topic, writer, collection } = indexTopicOf(request.segments, process);
    const pushed = readPush(request, { id: topic, topic }, clock.nowMs());
    const pipeline = () => process.pipeline(writer);
    if ("undecodable" in pushed) return replyOf(await giveUp(pushed.undecodable, "undecodable", pushed.reason, pipeline, process));
    const opened = await open();
    const deps = { clock, log, meter, pipeline, defaultCollection: collection, commitsOf: (name: string) => opened.get(name) };
    const [outcome] = await indexMessages([pushed.message], deps);
    return replyOf(outcome as Outcome);
  });
}

/** The index topic that a path names, or the only one; and a pipeline that writes to it. */
function indexTopicOf([named]: readonly string[], { settings }: FunctionProcess) {
  const writers = writersByIndexTopic(Object.entries(settings.pipelines));
  const topic = named ?? writers.keys().next().value;
  const found = topic === undefined ? undefined : writers.get(topic);
  if (topic !== undefined && found) return { topic, writer: found.name, collection: found.pipeline.index?.collection ?? "" };
  throw new HttpError(404, "no pipeline writes to this index topic; the path ends in the topic's name, as in PERSISTOR_PIPELINES");
}
