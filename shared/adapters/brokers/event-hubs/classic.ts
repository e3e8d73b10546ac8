import { InvalidInput } from "../../../core/errors.ts";
import { type Attribute, type Message, stringAttribute } from "../../../core/message.ts";
import { metadataAttribute, metadataList, metadataMillis, metadataText, metadataWhole } from "../../support/trigger-metadata.ts";

/** What tells whose messages these are. */
export interface TriggerOrigin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
}

/** System properties by their name in the trigger's metadata; the worker writes the first letter of some small. */
const SYSTEM_PROPERTIES: Readonly<Record<string, string>> = {
  "message-id": "amqp:message-id",
  "correlation-id": "amqp:correlation-id",
  subject: "amqp:subject",
  to: "amqp:to",
  "reply-to": "amqp:reply-to",
  "group-id": "amqp:group-id",
};
const CONTENT_TYPE = "content-type";

/**
 * Reads what the Event Hubs trigger of Azure Functions gives with dataType binary: bodies as bytes, and lists beside them, whose values are what JSON
 * makes of them. Throws InvalidInput where the lists are not those of the bodies.
 */
export function decodeClassic(
  bodies: readonly Uint8Array[],
  metadata: Readonly<Record<string, unknown>>,
  { id, topic }: TriggerOrigin,
): Message[] {
  const offsets = metadataList(metadata, "offsetArray");
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
      orderingKey: metadataText(keys?.[i]),
      contentType: metadataText(system[CONTENT_TYPE]),
    };
  });
}

function partitionOf(context: unknown): string {
  const { partitionId, PartitionId = partitionId } = objectOf(context);
  return metadataText(PartitionId);
}

function systemOf(system: Readonly<Record<string, unknown>>): Attribute[] {
  return Object.entries(SYSTEM_PROPERTIES).flatMap(([name, as]) => {
    const text = metadataText(system[name]);
    return text === "" ? [] : [stringAttribute(as, text)];
  });
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
