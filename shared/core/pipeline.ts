import type { Codec } from "./avro/object-file.ts";
import type { PathMask } from "./object-name.ts";
import type { ObjectStore } from "./ports/object-store.ts";
import type { Publisher } from "./ports/publisher.ts";

export interface BatchLimits {
  /** Messages of one object at most. */
  maxMessages: number;
  /** Payload and attribute bytes of one object at most, by `contentSize`; a single larger message makes an object of its own. */
  maxBytes: number;
  /** A message above this is dead-lettered as `too_large`. */
  maxMessageBytes: number;
}

/** A topic at an open broker. */
export interface TopicTarget {
  publisher: Publisher;
  topic: string;
  /** What resubmitted messages get as it was at their source. Default: nothing. */
  keep?: readonly ("partition" | "timestamp")[];
}

/** A named store and how a pipeline writes into it. */
export interface PipelineStore {
  /** The store's name in the settings; it stands in index records. */
  name: string;
  objects: ObjectStore;
  /** Every object of the pipeline lies under it; empty for the store's root. */
  prefix: string;
  mask: PathMask;
  format: "avro" | "raw";
  codec: Codec;
  extension: string;
}

/** One pipeline with its ports open. */
export interface Pipeline {
  name: string;
  /** Broker id of its messages. */
  brokerId: string;
  topic: string;
  store: PipelineStore;
  batch: BatchLimits;
  /** Absent: persisting alone. */
  index?: TopicTarget & { collection: string };
  /** Absent: what can never be handled is released again and again. */
  deadLetter?: TopicTarget;
  /** True for a pipeline that stores dead letters: it never dead-letters, it releases. */
  isDeadLetters: boolean;
}

/** The folder in which dead letters lie that their broker cannot carry. */
export const DEAD_LETTER_FOLDER = "dead-letter";

/** Their ending, which no pipeline's objects can have: a topic or an attribute may be called like the folder. */
export const DEAD_LETTER_EXTENSION = "letter.avro";

/** Joins key parts by `/`, leaving out empty ones. */
export function joinKey(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("/");
}
