import { ServiceBusClient, type ServiceBusReceivedMessage, type ServiceBusReceiver } from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { open } from "../../shared/adapters/brokers/service-bus/adapter.ts";
import { SERVICE_BUS } from "../../shared/adapters/brokers/service-bus/message.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { writeMessage } from "../../shared/adapters/support/amqp/writing.ts";
import type { MessageContent } from "../../shared/core/message.ts";
import { type Log, type LogFields, NO_LOG } from "../../shared/core/ports/log.ts";
import type { OutgoingMessage } from "../../shared/core/ports/publisher.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { type EntityOptions, type ServiceBusServer, startServiceBusServer } from "../services/service-bus-server.ts";
import { freshTopic } from "./support-sources.ts";

export interface ServiceBusInTests {
  /** The server, once the suite runs. */
  server(): ServiceBusServer;
  /** What was logged as a warning or an error. */
  lines: { event: string; fields: LogFields }[];
  openBroker(settings?: Record<string, unknown>): Promise<Broker>;
  /** A source of a queue, by a broker of its own. */
  openSource(queue: string, own?: Record<string, unknown>, settings?: Record<string, unknown>): Promise<Source>;
  /** A queue of a fresh name. */
  queueOf(options?: EntityOptions): Promise<string>;
  /** The SDK as it is. */
  bareClient(): ServiceBusClient;
  /** Publishes texts, or messages; each must be taken. */
  publish(queue: string, messages: readonly (string | OutgoingMessage)[]): Promise<void>;
  /** Puts texts into a queue without AMQP. */
  load(queue: string, payloads: readonly string[], more?: (payload: string) => Partial<MessageContent>): Promise<void>;
}

/** Starts a Service Bus for the tests of this suite, with brokers and clients that are closed after each. */
export function useServiceBus(): ServiceBusInTests {
  let server: ServiceBusServer;
  const closers: (() => Promise<unknown>)[] = [];
  const lines: ServiceBusInTests["lines"] = [];
  const note = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  const log: Log = { ...NO_LOG, warn: note, error: note };
  beforeAll(async () => {
    server = await startServiceBusServer();
  });
  afterEach(async () => {
    await server.clearFaults();
    await Promise.all(closers.splice(0).map((close) => close()));
    lines.splice(0);
  });
  afterAll(() => server?.stop());
  const openBroker = async (settings: Record<string, unknown> = {}): Promise<Broker> => {
    const broker = await open({ connectionString: server.connectionString, ...settings }, { dataDir: "", log });
    closers.push(() => broker.close());
    return broker;
  };
  return {
    server: () => server,
    lines,
    openBroker,
    async openSource(queue, own = {}, settings = {}) {
      return (await openBroker(settings)).openSource({ id: queue, topic: queue, subscription: "", own: { entity: "queue", ...own } });
    },
    async queueOf(options = {}) {
      const queue = freshTopic("orders");
      await server.createQueue(queue, { maxDeliveryCount: 1_000, ...options });
      return queue;
    },
    bareClient() {
      const client = new ServiceBusClient(server.connectionString);
      closers.push(() => client.close());
      return client;
    },
    async publish(queue, messages) {
      const { publisher } = await openBroker();
      const outcomes = await publisher.publish(
        queue,
        messages.map((message) => (typeof message === "string" ? messageOf(message) : message)),
      );
      expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    },
    async load(queue, payloads, more = () => ({})) {
      const encoded = payloads.map((payload, i) => writeMessage(messageOf(payload, more(payload)), SERVICE_BUS, `id-${i}`));
      for (let i = 0; i < encoded.length; i += 2_000) await server.load(queue, encoded.slice(i, i + 2_000));
    },
  };
}

/** Receives so many messages with the SDK as it is. */
export async function receiveBare(receiver: ServiceBusReceiver, count: number): Promise<ServiceBusReceivedMessage[]> {
  const all: ServiceBusReceivedMessage[] = [];
  while (all.length < count) {
    const more = await receiver.receiveMessages(count - all.length, { maxWaitTimeInMs: 5_000 });
    if (more.length === 0) break;
    all.push(...more);
  }
  return all;
}
