import type { ServiceBusMessage } from "@azure/service-bus";
import type { MessageContent } from "../../../shared/core/message.ts";
import { messageAt } from "../../lib/flights.ts";

/** What of flight `i` Service Bus carries: payload, five attributes as application properties, and its content type. */
export function contentAt(i: number): MessageContent {
  const { payloadKind, payload, attributes, contentType } = messageAt(i);
  return { payloadKind, payload, attributes, system: [], key: null, orderingKey: "", contentType };
}

/** The same as the SDK sends it. */
export function sdkMessageAt(i: number): ServiceBusMessage {
  const { payload, attributes, contentType } = contentAt(i);
  const applicationProperties = Object.fromEntries(attributes.map(({ name, value }) => [name, value as string]));
  return { messageId: messageIdOf(i), body: payload, contentType, applicationProperties };
}

export function messageIdOf(i: number): string {
  return `flight-${i}`;
}
