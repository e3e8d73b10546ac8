import { type DeadLetter, type DeadLetterCategory, deadLetter } from "../dead-letter/dead-letter.ts";
import { digestOf } from "../digest.ts";
import { errorText, InvalidInput } from "../errors.ts";
import type { GroupCommit } from "../group-commit.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Message } from "../message.ts";
import type { Outcome } from "../persist/persist.ts";
import type { Pipeline } from "../pipeline.ts";
import { decodeIndexMessage, type IndexMessage } from "./index-message.ts";
import type { IndexDeps } from "./store-records.ts";

export interface IndexMessagesDeps extends Omit<IndexDeps, "index"> {
  /** A pipeline that hands over on this topic: its collection is the default, its dead-letter topic takes what cannot be read. */
  pipeline: Pipeline;
  /** Where a collection's records are stored; undefined for a name that is no collection. */
  commitsOf(collection: string): GroupCommit<IndexRecord, void> | undefined;
}

/** Stores the records of index messages; returns one outcome per message, by position. Never throws for a single message's sake. */
export function indexMessages(messages: readonly Message[], deps: IndexMessagesDeps): Promise<Outcome[]> {
  return Promise.all(messages.map((message) => indexOne(message, deps)));
}

async function indexOne(message: Message, deps: IndexMessagesDeps): Promise<Outcome> {
  let decoded: IndexMessage;
  try {
    decoded = decodeIndexMessage(message.payload, deps.pipeline.index?.collection ?? "");
  } catch (error) {
    if (!(error instanceof InvalidInput)) return { kind: "released", error: error as Error };
    return giveUp(message, "undecodable", errorText(error), deps);
  }
  const commits = deps.commitsOf(decoded.collection);
  if (!commits) return giveUp(message, "refused", `reading an index message: ${decoded.collection} is no collection of any pipeline`, deps);
  try {
    await commits.submit(decoded.records);
    return { kind: "stored" };
  } catch (error) {
    return { kind: "released", error: error as Error };
  }
}

async function giveUp(message: Message, category: DeadLetterCategory, reason: string, deps: IndexMessagesDeps): Promise<Outcome> {
  const record = { message, digest: digestOf(message), ingestionTimeUs: deps.clock.nowMs() * 1000, pipeline: deps.pipeline.name };
  const letter: DeadLetter = { record, category, reason };
  const [error] = await deadLetter(deps.pipeline, [letter]);
  deps.log.warn("giving up an index message", { category, reason, error: error && errorText(error) });
  if (error) return { kind: "released", error };
  deps.meter.add("persistor.dead_letters", 1, { pipeline: deps.pipeline.name, category });
  return { kind: "dead-lettered", category };
}
