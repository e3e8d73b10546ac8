import { InvalidInput } from "../../../core/errors.ts";
import type { Message } from "../../../core/message.ts";
import { messageOf, type Origin } from "./message.ts";
import { microsOf } from "./rfc3339.ts";

export interface Push {
  message: Message;
  /** 1 where Pub/Sub does not tell: it counts only for subscriptions with a dead-letter topic. */
  attempt: number;
  /** The subscription's full path; empty where the body names none. */
  subscription: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads the wrapped form of a push: the parsed JSON of its body. Pub/Sub writes some fields twice, in camelCase and in snake_case; the first is read.
 * Throws InvalidInput naming the field.
 *
 * @example decodePush({ message: { data: "aGk=", messageId: "1", publishTime: "2026-01-01T00:00:00Z" }, subscription: "projects/p/subscriptions/s" }, { id: "orders", topic: "orders" })
 */
export function decodePush(body: unknown, source: Origin): Push {
  if (!isObject(body)) throw fault("", "is not a JSON object");
  const { message, deliveryAttempt, subscription } = body;
  if (!isObject(message)) throw fault("message", "is not an object");
  const fields = {
    payload: bytesOf(message["data"]),
    attributes: attributesOf(message["attributes"]),
    messageId: messageIdOf(message),
    publishTimeUs: publishTimeOf(message),
    orderingKey: textOf("message.orderingKey", message["orderingKey"] ?? message["ordering_key"]),
  };
  return {
    message: messageOf(fields, source),
    attempt: attemptOf(deliveryAttempt),
    subscription: textOf("subscription", subscription),
  };
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fault(path: string, message: string): InvalidInput {
  return new InvalidInput(`reading a push of Pub/Sub: ${path || "its body"} ${message}; it must be the wrapped form`, [{ path, message }]);
}

function textOf(path: string, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw fault(path, "is not text");
  return value;
}

function messageIdOf(message: Fields): string {
  const id = message["messageId"] ?? message["message_id"];
  if (typeof id !== "string" || id === "") throw fault("message.messageId", "is missing or not text");
  return id;
}

function publishTimeOf(message: Fields): number {
  const time = message["publishTime"] ?? message["publish_time"];
  const micros = typeof time === "string" ? microsOf(time) : undefined;
  if (micros === undefined) throw fault("message.publishTime", "is not an RFC 3339 time");
  return micros;
}

function attributesOf(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw fault("message.attributes", "is not an object");
  for (const name of Object.keys(value)) {
    if (typeof value[name] !== "string") throw fault(`message.attributes.${name.slice(0, 80)}`, "is not text");
  }
  return value as Record<string, string>;
}

function attemptOf(value: unknown): number {
  if (value === undefined || value === null || value === 0) return 1;
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw fault("deliveryAttempt", "is not a number of deliveries");
  return value as number;
}

/** Standard base64 with padding, as JSON of Pub/Sub has it. Node's decoder skips what is none, so the length tells, and the last group by being written again. */
function bytesOf(value: unknown): Uint8Array {
  const text = textOf("message.data", value);
  const bytes = Buffer.from(text, "base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const isWhole = text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding;
  const lastGroup = bytes.subarray(bytes.length - (3 - padding)).toString("base64");
  if (text !== "" && !(isWhole && text.endsWith(lastGroup) && !text.includes("-") && !text.includes("_"))) {
    throw fault("message.data", "is not base64");
  }
  return bytes;
}
