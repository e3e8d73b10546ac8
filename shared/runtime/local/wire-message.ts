import type { MessageContent } from "../../core/message.ts";
import type { OutgoingMessage } from "../../core/ports/publisher.ts";
import type { Delivery } from "../../core/ports/source.ts";
import { microsToIso } from "../../core/text.ts";
import { attributesOf, base64Bytes, base64Of, fault, isObject, type WireAttributes, wireAttributesOf } from "./wire-attributes.ts";

/** A message as pulled. `data` is null where the payload is absent, unlike an empty one. */
export interface WireMessage {
  data: string | null;
  attributes: WireAttributes;
  messageId: string;
  publishTime: string;
  orderingKey: string;
  contentType?: string;
  key?: string;
}

export interface ReceivedMessage {
  ackId: string;
  message: WireMessage;
  deliveryAttempt: number;
}

const MESSAGE_FIELDS: readonly string[] = ["data", "attributes", "orderingKey", "contentType", "key"];
const EVENT_FIELDS: readonly string[] = [...MESSAGE_FIELDS, "json", "text"];
const NO_BYTES = new Uint8Array(0);

type Payload = Pick<MessageContent, "payloadKind" | "payload" | "contentType">;

/** A message of `publish`: `{data, attributes, orderingKey}`, all optional. Throws InvalidInput naming the place below `path`. */
export function publishedMessage(value: unknown, path: string): OutgoingMessage {
  const fields = checkedFields(value, MESSAGE_FIELDS, path);
  const data = fields.data === undefined ? { payloadKind: "bytes" as const, payload: NO_BYTES } : dataOf(fields.data, path);
  return { ...restOf(fields, path), ...data, contentType: textOf(fields.contentType, `${path}.contentType`) };
}

/** A line of `events`: `{data | json | text, attributes?, orderingKey?}`. Throws InvalidInput naming the place below `path`. */
export function eventMessage(value: unknown, path: string): OutgoingMessage {
  const fields = checkedFields(value, EVENT_FIELDS, path);
  return { ...restOf(fields, path), ...eventPayload(fields, path) };
}

function checkedFields(value: unknown, known: readonly string[], path: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw fault(path, "must be an object");
  for (const name of Object.keys(value))
    if (!known.includes(name)) throw fault(`${path}.${name}`, `is unknown here; there are ${known.join(", ")}`);
  return value;
}

function restOf(
  fields: Readonly<Record<string, unknown>>,
  path: string,
): Pick<MessageContent, "attributes" | "system" | "key" | "orderingKey"> {
  return {
    attributes: fields.attributes === undefined ? [] : attributesOf(fields.attributes, `${path}.attributes`),
    system: [],
    key: fields.key === undefined ? null : base64Bytes(fields.key, `${path}.key`),
    orderingKey: textOf(fields.orderingKey, `${path}.orderingKey`),
  };
}

function eventPayload(fields: Readonly<Record<string, unknown>>, path: string): Payload {
  const given = [fields.data, fields.json, fields.text].filter((payload) => payload !== undefined);
  if (given.length !== 1) throw fault(path, "must have exactly one of data (base64), json, text");
  const contentType = textOf(fields.contentType, `${path}.contentType`);
  if (fields.data !== undefined) return { ...dataOf(fields.data, path), contentType };
  if (fields.text !== undefined)
    return { payloadKind: "bytes", payload: Buffer.from(textOf(fields.text, `${path}.text`)), contentType: contentType || "text/plain" };
  return { payloadKind: "bytes", payload: jsonBytes(fields.json, `${path}.json`), contentType: contentType || "application/json" };
}

function dataOf(data: unknown, path: string): Pick<MessageContent, "payloadKind" | "payload"> {
  if (data === null) return { payloadKind: "null", payload: NO_BYTES };
  return { payloadKind: "bytes", payload: base64Bytes(data, `${path}.data`) };
}

/** Writing JSON takes a frame of the stack per level, unlike reading it. */
function jsonBytes(value: unknown, path: string): Buffer {
  try {
    return Buffer.from(JSON.stringify(value));
  } catch (error) {
    if (error instanceof RangeError) throw fault(path, "is nested too deep; send it as text");
    throw error;
  }
}

function textOf(value: unknown, path: string): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw fault(path, "must be text");
  if (!value.isWellFormed()) throw fault(path, "holds half of a character (a lone surrogate)");
  return value;
}

/** A delivery as `pull` answers it. */
export function receivedMessage({ ackId, attempt, message }: Delivery): ReceivedMessage {
  const { payloadKind, payload, attributes, brokerMessageId, publishTimeUs, orderingKey, contentType, key } = message;
  return {
    ackId,
    message: {
      data: payloadKind === "null" ? null : base64Of(payload),
      attributes: wireAttributesOf(attributes),
      messageId: brokerMessageId,
      publishTime: microsToIso(publishTimeUs),
      orderingKey,
      contentType: contentType || undefined,
      key: key ? base64Of(key) : undefined,
    },
    deliveryAttempt: attempt,
  };
}
