import { InvalidInput } from "../../../core/errors.ts";
import { type Attribute, type Message, stringAttribute } from "../../../core/message.ts";
import { ANNOTATION_PREFIX, PARTITION_KEY_ANNOTATION } from "../../support/amqp/sections.ts";
import { metadataAttribute, metadataList, metadataMillis, metadataText, metadataWhole } from "../../support/trigger-metadata.ts";
import { BROKER_ANNOTATIONS } from "./message.ts";

/** What tells whose messages these are. */
export interface TriggerOrigin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
}

/** Fields of the message that are text, by their name in the trigger's metadata. Of the others it makes text too: they would not be what they were. */
const TEXT_FIELDS: ReadonlySet<string> = new Set([
  "message-id",
  "correlation-id",
  "subject",
  "to",
  "reply-to",
  "group-id",
  "reply-to-group-id",
]);
const CONTENT_TYPE = "content-type";
/** What else stands among the system properties: fields that are no text, and what is said elsewhere, in the spelling of the worker. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...[CONTENT_TYPE, "content-encoding", "user-id", "absolute-expiry-time", "creation-time", "group-sequence"],
  ...["sequenceNumber", "offset", "partitionKey", "enqueuedTimeUtc", PARTITION_KEY_ANNOTATION],
  ...BROKER_ANNOTATIONS,
]);

/**
 * Reads what the Event Hubs trigger of Azure Functions gives with dataType binary: bodies as bytes, and lists beside them, whose values are what JSON
 * makes of them. Throws InvalidInput where the lists are not those of the bodies.
 */
export function decodeClassic(
  bodies: readonly Uint8Array[],
  metadata: Readonly<Record<string, unknown>>,
  { id, topic }: TriggerOrigin,
): Message[] {
  const offsets = offsetsOf(metadata);
  const partition = partitionOf(metadata["partitionContext"]);
  if (offsets.length !== bodies.length || partition === "") {
    throw new InvalidInput(
      `reading a batch of the Event Hubs trigger: ${bodies.length} bodies came with ${offsets.length} offsets, of partition "${partition}"; have the trigger take dataType binary`,
    );
  }
  const lists = ["sequenceNumberArray", "enqueuedTimeUtcArray", "partitionKeyArray", "propertiesArray", "systemPropertiesArray"] as const;
  const [sequences, times, keys, properties, systems] = lists.map((list) => metadataList(metadata, list));
  return bodies.map((payload, i): Message => {
    const system = objectOf(systems?.[i]);
    return {
      brokerId: id,
      brokerMessageId: `${partition}-${metadataText(offsets[i])}`,
      topic,
      partition,
      sequence: metadataWhole(sequences?.[i]).value,
      publishTimeUs: metadataMillis(times?.[i]) * 1000,
      payloadKind: "bytes",
      payload,
      attributes: Object.entries(objectOf(properties?.[i])).map(([name, value]) => metadataAttribute(name, value)),
      system: systemOf(system),
      key: null,
      // The list of keys is parsed, as if they were JSON; what stands among the system properties is not.
      orderingKey: metadataText(system["partitionKey"] ?? keys?.[i]),
      contentType: metadataText(system[CONTENT_TYPE]),
    };
  });
}

function partitionOf(context: unknown): string {
  const { partitionId, PartitionId = partitionId } = objectOf(context);
  return metadataText(PartitionId);
}

/** Offsets need not be numbers, and then stand in another list, which older extensions lack. */
function offsetsOf(metadata: Readonly<Record<string, unknown>>): readonly unknown[] {
  const texts = metadataList(metadata, "offsetStringArray");
  return texts.length > 0 ? texts : metadataList(metadata, "offsetArray");
}

function systemOf(system: Readonly<Record<string, unknown>>): Attribute[] {
  return Object.entries(system).flatMap(([name, value]) => {
    if (TEXT_FIELDS.has(name)) return [stringAttribute(`amqp:${name}`, metadataText(value))];
    return LEFT_OUT.has(name) ? [] : [metadataAttribute(ANNOTATION_PREFIX + name, value)];
  });
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
