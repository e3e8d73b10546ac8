import type { OutgoingMessage } from "../../../../core/ports/publisher.ts";
import { headersOf } from "../records/headers.ts";
import { TIMESTAMP_PROPERTY } from "../records/message.ts";
import type { OutgoingRecord } from "../records/writing.ts";

/** The record that a message becomes, once `cannotCarry` had nothing to say; `nowMs` is its time where it asks for none. */
export function recordOf(message: OutgoingMessage, nowMs: number): OutgoingRecord {
  const { payloadKind, payload, key, attributes } = message;
  return {
    key,
    value: payloadKind === "null" ? null : payload,
    headers: headersOf(attributes),
    timestamp: message.withTimeUs === undefined ? nowMs : originalMs(message, message.withTimeUs),
  };
}

function originalMs({ system }: OutgoingMessage, publishTimeUs: number): number | bigint {
  const exact = system.find(({ name, kind }) => name === TIMESTAMP_PROPERTY && kind === "long")?.value;
  if (exact === undefined || typeof exact === "string" || exact.length !== 8) return Math.floor(publishTimeUs / 1000);
  return new DataView(exact.buffer, exact.byteOffset).getBigInt64(0);
}
