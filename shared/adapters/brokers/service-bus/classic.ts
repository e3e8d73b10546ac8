import { InvalidInput } from "../../../core/errors.ts";
import { type Attribute, type Message, NO_SEQUENCE, stringAttribute } from "../../../core/message.ts";
import { ANNOTATION_PREFIX, PARTITION_KEY_ANNOTATION } from "../../support/amqp/sections.ts";
import { metadataAttribute, metadataList, metadataMillis, metadataText, metadataWhole } from "../../support/trigger-metadata.ts";
import type { Origin, Received } from "./message.ts";

/** System properties by the name of their list in the trigger's metadata. */
const SYSTEM_LISTS = {
  messageIdArray: "amqp:message-id",
  correlationIdArray: "amqp:correlation-id",
  subjectArray: "amqp:subject",
  toArray: "amqp:to",
  replyToArray: "amqp:reply-to",
  replyToSessionIdArray: "amqp:reply-to-group-id",
  partitionKeyArray: ANNOTATION_PREFIX + PARTITION_KEY_ANNOTATION,
} as const;

/**
 * Reads what a trigger with the classic binding gives: the bodies as bytes, and lists beside them, of which the worker has parsed and rounded some.
 * A list that is not as long as there are bodies lacks empty entries, and nobody knows whose: it is left out. Throws InvalidInput where the bodies
 * are no bytes, or the sequence numbers are not theirs.
 */
export function decodeClassic(bodies: readonly Uint8Array[], metadata: Readonly<Record<string, unknown>>, origin: Origin): Received[] {
  const sequences = metadataList(metadata, "sequenceNumberArray");
  if (sequences.length !== bodies.length) {
    throw new InvalidInput(
      `reading a batch of the Service Bus trigger: ${bodies.length} bodies came with ${sequences.length} sequence numbers; have the trigger take dataType binary`,
    );
  }
  if (!bodies.every((body) => body instanceof Uint8Array)) {
    throw new InvalidInput("reading a batch of the Service Bus trigger: its bodies are no bytes; have the trigger take dataType binary");
  }
  const at = (name: string, position: number) => {
    const list = metadataList(metadata, name);
    return list.length === bodies.length ? list[position] : undefined;
  };
  return bodies.map((payload, i) => ({
    message: messageAt(payload, i, at, origin),
    attempt: Number(at("deliveryCountArray", i) ?? 1) || 1,
    lockedUntilMs: 0,
  }));
}

type At = (list: string, position: number) => unknown;

function messageAt(payload: Uint8Array, i: number, at: At, { id, topic }: Origin): Message {
  const sequence = metadataWhole(at("sequenceNumberArray", i));
  const messageId = metadataText(at("messageIdArray", i));
  return {
    brokerId: id,
    // A number that was rounded may stand for several messages.
    brokerMessageId: sequence.isExact ? String(sequence.value) : `${sequence.value}~${messageId}`,
    topic,
    partition: "",
    sequence: sequence.isExact ? sequence.value : NO_SEQUENCE,
    publishTimeUs: metadataMillis(at("enqueuedTimeArray", i) ?? at("enqueuedTimeUtcArray", i)) * 1000,
    payloadKind: "bytes",
    payload,
    attributes: propertiesOf(at("applicationPropertiesArray", i)),
    system: Object.entries(SYSTEM_LISTS).flatMap(([list, name]) => {
      const text = metadataText(at(list, i));
      return text === "" ? [] : [stringAttribute(name, text)];
    }),
    key: null,
    orderingKey: metadataText(at("sessionIdArray", i)),
    contentType: metadataText(at("contentTypeArray", i)),
  };
}

function propertiesOf(value: unknown): Attribute[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).map(([name, held]) => metadataAttribute(name, held));
}
