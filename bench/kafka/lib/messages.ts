import type { MessageContent } from "../../../shared/core/message.ts";
import type { OutgoingMessage } from "../../../shared/core/ports/publisher.ts";
import { FIRST_PUBLISH_MS, messageAt } from "../../lib/flights.ts";

/** What of flight `i` Kafka carries: payload, five attributes as headers, and its number as the key. */
export function contentAt(i: number): MessageContent {
  const { payloadKind, payload, attributes } = messageAt(i);
  return { payloadKind, payload, attributes, system: [], key: Buffer.from(String(i)), orderingKey: "", contentType: "" };
}

/** The same, to be published with the time that every bench gives to it. */
export function outgoingAt(i: number): OutgoingMessage {
  return { ...contentAt(i), withTimeUs: (FIRST_PUBLISH_MS + i) * 1000 };
}
