import { type Codec, encodeObject, readObject } from "../avro/object-file.ts";
import type { StoredRecord } from "../avro/stored-record.ts";
import { digestOf } from "../digest.ts";
import { type BrokerError, StoreError } from "../errors.ts";
import {
  type Attribute,
  contentSize,
  type Message,
  type MessageContent,
  payloadContent,
  stringAttribute,
  textAttribute,
  uniqueIdOf,
} from "../message.ts";
import { batchHash, objectKey } from "../object-name.ts";
import { DEAD_LETTER_EXTENSION, DEAD_LETTER_FOLDER, joinKey, type Pipeline } from "../pipeline.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { OutgoingMessage, Publisher } from "../ports/publisher.ts";
import { cutUtf8, microsToIso } from "../text.ts";

/** Why a message can never be handled: a closed list. What may work later is never among them. */
export type DeadLetterCategory = "undecodable" | "too_large" | "refused";

/** The attributes that a dead letter carries besides its own, in this order, and that a redrive takes off again. */
const NAMES = {
  category: "deadLetterErrorCategory",
  reason: "deadLetterErrorReason",
  source: "deadLetterSource",
  pipeline: "persistor-pipeline",
  messageId: "persistor-message-id",
  publishTime: "persistor-publish-time",
} as const;

const LETTER_NAMES: readonly string[] = Object.values(NAMES);
/** Besides those, only where the message itself lies in the store, since the broker cannot carry it. */
const LOCATION_NAME = "persistor-dead-letter-location";

const MAX_REASON_BYTES = 1000;
const OVERFLOW_CODEC: Codec = "zstandard";

export interface DeadLetter {
  record: StoredRecord;
  category: DeadLetterCategory;
  reason: string;
}

/**
 * Publishes messages to the pipeline's dead-letter topic with the reason; a message that the topic's broker cannot carry is stored under
 * `dead-letter/` and a pointer is published. Returns for each, by position, undefined or the error because of which it must be released.
 */
export async function deadLetter(pipeline: Pipeline, letters: readonly DeadLetter[]): Promise<(Error | undefined)[]> {
  const target = pipeline.isDeadLetters ? undefined : pipeline.deadLetter;
  if (!target) {
    const why = pipeline.isDeadLetters ? "stores dead letters itself" : "has no dead-letter topic; set deadLetter.topic";
    return letters.map(
      ({ reason }) => new StoreError("unsupported", `dead-lettering a message (${reason}): pipeline ${pipeline.name} ${why}`),
    );
  }
  const results: (Error | undefined)[] = [];
  for (const letter of letters) {
    try {
      const outgoing = await outgoingOf(pipeline, target.publisher, letter);
      const [outcome] = await target.publisher.publish(target.topic, [outgoing]);
      results.push(outcome?.ok ? undefined : (outcome?.error as BrokerError));
    } catch (error) {
      results.push(error as Error);
    }
  }
  return results;
}

async function outgoingOf(pipeline: Pipeline, publisher: Publisher, letter: DeadLetter): Promise<OutgoingMessage> {
  const { message } = letter.record;
  const whole: OutgoingMessage = { ...contentOf(message), attributes: [...message.attributes, ...lettersAttributes(pipeline, letter)] };
  if (contentSize(whole) <= publisher.limits.maxMessageBytes && publisher.cannotCarry(whole) === undefined) return whole;
  const key = await storeOverflow(pipeline, letter.record);
  const attributes = [...lettersAttributes(pipeline, letter), stringAttribute(LOCATION_NAME, key)];
  const empty = { ...payloadContent(new Uint8Array(0)), attributes };
  const absent: OutgoingMessage = { ...empty, payloadKind: "null" };
  // Not every broker knows a payload that is absent.
  return publisher.cannotCarry(absent) === undefined ? absent : empty;
}

function lettersAttributes(pipeline: Pipeline, { record, category, reason }: DeadLetter): Attribute[] {
  const { message } = record;
  return [
    stringAttribute(NAMES.category, category),
    stringAttribute(NAMES.reason, cutUtf8(reason, MAX_REASON_BYTES)),
    stringAttribute(NAMES.source, message.topic),
    stringAttribute(NAMES.pipeline, pipeline.name),
    stringAttribute(NAMES.messageId, uniqueIdOf(message)),
    stringAttribute(NAMES.publishTime, microsToIso(message.publishTimeUs)),
  ];
}

/** What of a message travels, without its identity. */
export function contentOf(message: Message): MessageContent {
  const { payloadKind, payload, attributes, system, key, orderingKey, contentType } = message;
  return { payloadKind, payload, attributes, system, key, orderingKey, contentType };
}

async function storeOverflow(pipeline: Pipeline, record: StoredRecord): Promise<string> {
  const uniqueId = uniqueIdOf(record.message);
  const hash = batchHash([{ uniqueId, digest: record.digest }]);
  const key = objectKey({
    prefix: joinKey(pipeline.store.prefix, DEAD_LETTER_FOLDER),
    path: encodeURIComponent(pipeline.name),
    firstUniqueId: uniqueId,
    count: 1,
    hash,
    extension: DEAD_LETTER_EXTENSION,
  });
  const { pieces } = await encodeObject([record], { codec: OVERFLOW_CODEC, syncSeed: hash });
  await pipeline.store.objects.put(key, pieces, { contentType: "application/avro" });
  return key;
}

/** Where a pipeline keeps the letters that its broker cannot carry. */
export interface OverflowPlace {
  objects: ObjectStore;
  /** Each of its keys starts with it. */
  folder: string;
}

/** Where the letters of `pipeline` lie that its broker cannot carry; undefined where `letters` does not store that pipeline's dead letters. */
export function overflowOf(pipeline: Pipeline | undefined, letters: Pipeline): OverflowPlace | undefined {
  if (pipeline?.deadLetter?.topic !== letters.topic) return undefined;
  const { name, store } = pipeline;
  return { objects: store.objects, folder: `${joinKey(store.prefix, DEAD_LETTER_FOLDER, encodeURIComponent(name))}/` };
}

/**
 * The message as it was before it was dead-lettered: without the names above (of repeated ones only the last, which is ours), and with the
 * stored content where the letter is a pointer. `placeOf` tells where the letters of a pipeline may be read, by its name. Throws StoreError.
 */
export async function redriven(content: MessageContent, placeOf: (pipeline: string) => OverflowPlace | undefined): Promise<MessageContent> {
  if (!isPointer(content)) return { ...content, attributes: withoutLast(content.attributes, LETTER_NAMES) };
  const text = (name: string) => textAttribute(content.attributes, name) ?? "";
  const location = text(LOCATION_NAME);
  const place = placeOf(text(NAMES.pipeline));
  if (!place || !location.startsWith(place.folder)) {
    throw new StoreError("object_missing", `reading dead letter ${location}: it lies outside the dead-letter folder of its pipeline`);
  }
  return readOverflow(place, location, text(NAMES.messageId));
}

/** A pointer has our attributes and no other, ours last; a message's own attribute of that name comes before ours. */
function isPointer({ payload, attributes }: MessageContent): boolean {
  const names = new Set(attributes.map(({ name }) => name));
  return (
    payload.length === 0 &&
    attributes.length === LETTER_NAMES.length + 1 &&
    attributes[0]?.name !== LOCATION_NAME &&
    [...LETTER_NAMES, LOCATION_NAME].every((name) => names.has(name))
  );
}

async function readOverflow({ objects }: OverflowPlace, key: string, uniqueId: string): Promise<MessageContent> {
  const { bytes } = await objects.get(key);
  for await (const block of readObject(bytes, { brokerId: "", pipeline: "", topic: "" })) {
    if ("fault" in block) throw block.fault.error;
    const record = block.records[0]?.record;
    if (!record) continue;
    if (uniqueIdOf(record.message) === uniqueId && digestOf(record.message).equals(record.digest)) return contentOf(record.message);
    break;
  }
  throw new StoreError(
    "object_corrupt",
    `reading dead letter ${key}: it does not hold message ${uniqueId} unaltered; restore it from a copy`,
  );
}

function withoutLast(attributes: readonly Attribute[], names: readonly string[]): Attribute[] {
  const last = new Set(names.map((name) => attributes.findLastIndex((attribute) => attribute.name === name)));
  return attributes.filter((_, position) => !last.has(position));
}
