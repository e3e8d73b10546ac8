import { giveUp } from "../dead-letter/give-up.ts";
import { errorText, InvalidInput } from "../errors.ts";
import type { GroupCommit } from "../group-commit.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Message } from "../message.ts";
import type { Outcome } from "../persist/persist.ts";
import type { Pipeline } from "../pipeline.ts";
import { decodeIndexMessage, type IndexMessage } from "./index-message.ts";
import type { IndexDeps } from "./store-records.ts";

export interface IndexMessagesDeps extends Omit<IndexDeps, "index"> {
  /** Where the records of a message go that names no collection. */
  defaultCollection: string;
  /** A pipeline that hands over on this topic: its dead-letter topic takes what cannot be read. */
  pipeline(): Promise<Pipeline>;
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
    decoded = decodeIndexMessage(message.payload, deps.defaultCollection);
  } catch (error) {
    if (!(error instanceof InvalidInput)) return { kind: "released", error: error as Error };
    return giveUp(message, "undecodable", errorText(error), deps.pipeline, deps);
  }
  const commits = deps.commitsOf(decoded.collection);
  if (!commits) {
    const reason = `reading an index message: ${decoded.collection} is no collection of any pipeline`;
    return giveUp(message, "refused", reason, deps.pipeline, deps);
  }
  try {
    await commits.submit(decoded.records);
    return { kind: "stored" };
  } catch (error) {
    return { kind: "released", error: error as Error };
  }
}
