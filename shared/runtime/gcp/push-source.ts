import { randomUUID } from "node:crypto";
import type { Origin } from "../../adapters/brokers/pubsub/message.ts";
import { decodePush } from "../../adapters/brokers/pubsub/trigger.ts";
import { sha256Hex } from "../../core/digest.ts";
import { errorText, InvalidInput } from "../../core/errors.ts";
import { type Message, NO_SEQUENCE, payloadContent } from "../../core/message.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import { HttpError } from "../http/problem.ts";
import type { TriggerReply, TriggerRequest } from "./handler.ts";

/** What was pushed: a message, or a body that is none, with the reason. */
export type Pushed = { message: Message } | { undecodable: Message; reason: string };

/** Reads what Pub/Sub pushed. Throws HttpError 405 for anything but a POST. */
export function readPush({ method, body, rawBody }: TriggerRequest, source: Origin, nowMs: number): Pushed {
  if (method !== "POST") throw new HttpError(405, `${method} is not for this path; Pub/Sub pushes by POST`, { headers: { allow: "POST" } });
  try {
    return { message: decodePush(body, source).message };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return { undecodable: bodyAsMessage(rawBody ?? Buffer.alloc(0), source, nowMs), reason: errorText(error) };
  }
}

/** A body that cannot be read, whole, so that it can be dead-lettered; pushed again it is the same message. */
function bodyAsMessage(body: Buffer, { id, topic }: Origin, nowMs: number): Message {
  return {
    brokerId: id,
    brokerMessageId: `undecodable-${body.length === 0 ? randomUUID() : sha256Hex(body).slice(0, 32)}`,
    topic,
    partition: "",
    sequence: NO_SEQUENCE,
    publishTimeUs: nowMs * 1000,
    ...payloadContent(body),
  };
}

const DONE: TriggerReply = { status: 204 };
const COME_AGAIN: TriggerReply = { status: 503, headers: { "retry-after": "1" } };

/** 204 settles the push; anything else lets Pub/Sub push again. */
export function replyOf(outcome: Outcome): TriggerReply {
  return outcome.kind === "released" ? COME_AGAIN : DONE;
}
