import * as extensions from "@azure/functions-extensions-base";
import { bufferOf } from "../../adapters/support/amqp/types.ts";

// Its form as an ES module has nothing but a default.
const { ResourceFactoryResolver } = (extensions as unknown as { default?: typeof extensions }).default ?? extensions;

/** The content of the model binding data of one message, as the host sends it. */
export interface BoundMessage {
  readonly content: Buffer;
}

const SERVICE_BUS_MESSAGE = "AzureServiceBusReceivedMessage";

/**
 * Has the programming model hand over Service Bus messages as the host sent them, in place of a library's reading of them; before the first one comes.
 */
export function takeMessagesAsSent(): void {
  const resolver = ResourceFactoryResolver.getInstance();
  if (resolver.hasResourceFactory(SERVICE_BUS_MESSAGE)) return;
  resolver.registerResourceFactory(SERVICE_BUS_MESSAGE, (data) =>
    (Array.isArray(data) ? data : [data]).map(({ content }): BoundMessage => ({ content: content ? bufferOf(content) : Buffer.alloc(0) })),
  );
}
