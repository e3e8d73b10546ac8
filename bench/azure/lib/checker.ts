import { ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { digestOf } from "../../../shared/core/digest.ts";
import { type MessageContent, stringAttribute } from "../../../shared/core/message.ts";
import type { Measure } from "../../lib/child.ts";
import { limitMsOf, within } from "../../lib/within.ts";
import { contentAt } from "./messages.ts";
import type { FlightsOrder } from "./service-bus.ts";

const MESSAGES_PER_CALL = 1_000;

/** Empties a queue by the SDK, and fails unless it holds flights 0 to `count` - 1, each once and with the digest of the original. */
export const measure: Measure<FlightsOrder, null> = async ({ connectionString, entity, count }) => {
  const wanted = new Set<string>();
  for (let i = 0; i < count; i++) wanted.add(digestOf(contentAt(i)).toString("hex"));
  const client = new ServiceBusClient(connectionString);
  const receiver = client.createReceiver(entity, { receiveMode: "receiveAndDelete", skipParsingBodyAsJson: true });
  const checking = async () => {
    while (wanted.size > 0) {
      for (const message of await receiver.receiveMessages(MESSAGES_PER_CALL)) {
        if (!wanted.delete(digestOf(contentOf(message)).toString("hex")))
          throw new Error(`reading ${entity}: message ${message.messageId} came twice, or is another one`);
      }
    }
  };
  await within(limitMsOf(count), `reading ${count} messages of ${entity}`, checking());
  await client.close();
  return null;
};

function contentOf({ body, applicationProperties = {}, contentType = "" }: ServiceBusReceivedMessage): MessageContent {
  const attributes = Object.entries(applicationProperties).map(([name, value]) => stringAttribute(name, String(value)));
  return { payloadKind: "bytes", payload: body as Buffer, attributes, system: [], key: null, orderingKey: "", contentType };
}
