import type { HttpFunction } from "@google-cloud/functions-framework";
import { giveUp } from "../../core/dead-letter/give-up.ts";
import { type GroupCommit, groupCommit } from "../../core/group-commit.ts";
import { indexMessages } from "../../core/index/index-messages.ts";
import { storeRecords } from "../../core/index/store-records.ts";
import type { IndexRecord } from "../../core/index-record.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import { createTriggerAuth } from "../auth/trigger-auth.ts";
import { HttpError } from "../http/problem.ts";
import { openedOnce } from "../opened-once.ts";
import { triggerHandler } from "./handler.ts";
import type { FunctionProcess } from "./process.ts";
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
  sizeOf: () => 500,
} as const;

/** Stores the index records that Pub/Sub pushes to `/index`, or to `/index/{topic}` where there are several index topics. */
export function indexPushes(process: FunctionProcess): HttpFunction {
  const { settings, clock, log, meter } = process;
  const commits = new Map<string, GroupCommit<IndexRecord, void>>();
  process.beforeClose(() => Promise.all([...commits.values()].map((commit) => commit.close())));

  const open = openedOnce(async () => {
    const index = await process.index();
    for (const { name } of process.collections()) {
      const flush = async (records: readonly IndexRecord[]) =>
        storeRecords(name, records, { index, clock, log, meter }).then(() => records.map(() => undefined));
      commits.set(name, groupCommit(flush, { ...COMMIT, clock }));
    }
    return commits;
  });

  const authorize = createTriggerAuth(settings.triggerAuth);
  return triggerHandler(process, { name: NAME, limitMs: LIMIT_MS, authorize }, async (request) => {
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

/** The index topic that a path names, or the only one; and a pipeline that writes to it: one with a dead-letter topic where there is one. */
function indexTopicOf(segments: readonly string[], { settings }: FunctionProcess) {
  const writers = Object.entries(settings.pipelines).flatMap(([writer, { index, deadLetter }]) =>
    index ? [{ topic: index.topic, writer, collection: index.collection, deadLetter }] : [],
  );
  const [topic = writers[0]?.topic] = segments;
  const ofTopic = writers.filter((entry) => entry.topic === topic);
  const found = ofTopic.find(({ deadLetter }) => deadLetter) ?? ofTopic[0];
  if (found) return found;
  throw new HttpError(404, "no pipeline writes to this index topic; the path ends in the topic's name, as in PERSISTOR_PIPELINES");
}
