import { ServiceBusClient, type ServiceBusMessage, type ServiceBusSender } from "@azure/service-bus";
import type { Measure } from "../../lib/child.ts";
import { timed } from "../../lib/timing.ts";
import { limitMsOf, within } from "../../lib/within.ts";
import { sdkMessageAt } from "./messages.ts";
import type { FlightsOrder } from "./service-bus.ts";

/** Milliseconds that sending flights by the SDK takes, in batches as its documents show, with the messages ready in memory. */
export const measure: Measure<FlightsOrder, number> = async ({ connectionString, entity, count }) => {
  const messages = Array.from({ length: count }, (_, i) => sdkMessageAt(i));
  const client = new ServiceBusClient(connectionString);
  const sending = () => within(limitMsOf(count), `sending ${count} messages bare`, send(client.createSender(entity), messages));
  const ms = await timed(sending);
  await client.close();
  return ms;
};

async function send(sender: ServiceBusSender, messages: readonly ServiceBusMessage[]): Promise<void> {
  let batch = await sender.createMessageBatch();
  for (const message of messages) {
    if (batch.tryAddMessage(message)) continue;
    await sender.sendMessages(batch);
    batch = await sender.createMessageBatch();
    if (!batch.tryAddMessage(message)) throw new Error("sending messages bare: one does not fit into a batch");
  }
  await sender.sendMessages(batch);
}
