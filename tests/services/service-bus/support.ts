import { randomUUID } from "node:crypto";
import {
  type RetryOptions,
  ServiceBusClient,
  type ServiceBusClientOptions,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSender,
} from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type EntityOptions, type ServiceBusServer, startServiceBusServer } from "../service-bus-server.ts";

/** A server for the tests of a file, and clients of it that are closed after each test. */
export interface ServerSuite {
  readonly server: ServiceBusServer;
  client(options?: ServiceBusClientOptions): ServiceBusClient;
  freshQueue(options?: EntityOptions, retryOptions?: RetryOptions): Promise<FreshQueue>;
  /** Runs after the test. */
  onEnd(close: () => unknown): void;
}

export interface FreshQueue {
  name: string;
  client: ServiceBusClient;
  sender: ServiceBusSender;
  receiver: ServiceBusReceiver;
}

/** Nothing is tried again, so that each failure shows. */
export const ONE_TRY = { maxRetries: 0, timeoutInMs: 10_000 };
/** What is cut waits as long for its answer; within the same time the other tries open and send. */
const SHORT_TRY_MS = 3_000;
export const ONE_SHORT_TRY = { maxRetries: 0, timeoutInMs: SHORT_TRY_MS };
export const ONE_MORE_TRY = { maxRetries: 1, timeoutInMs: SHORT_TRY_MS, retryDelayInMs: 10 };
/** For receives that should find nothing. */
export const BRIEFLY = { maxWaitTimeInMs: 150 };

export function serverSuite(): ServerSuite {
  let server: ServiceBusServer;
  const closers: (() => unknown)[] = [];
  const client = (options?: ServiceBusClientOptions) => {
    const opened = new ServiceBusClient(server.connectionString, { retryOptions: ONE_TRY, ...options });
    closers.push(() => opened.close());
    return opened;
  };
  beforeAll(async () => {
    server = await startServiceBusServer();
  });
  afterEach(async () => {
    await server.clearFaults();
    for (const close of closers.splice(0).reverse()) await close();
  });
  afterAll(async () => {
    await server?.stop();
    // Whatever goes wrong in it, it writes.
    expect(server?.output()).toBe("");
  });
  return {
    get server() {
      return server;
    },
    client,
    async freshQueue(options, retryOptions = ONE_TRY) {
      const name = freshName("queue");
      await server.createQueue(name, options);
      const opened = client({ retryOptions });
      return { name, client: opened, sender: opened.createSender(name), receiver: opened.createReceiver(name) };
    },
    onEnd: (close) => closers.push(close),
  };
}

export type SequenceNumber = NonNullable<ServiceBusReceivedMessage["sequenceNumber"]>;

export const freshName = (kind: string): string => `${kind}-${randomUUID().slice(0, 8)}`;
export const bodiesOf = (messages: readonly ServiceBusReceivedMessage[]): unknown[] => messages.map(({ body }) => body);

/** Receives as many messages as that, or throws. */
export async function receive(receiver: ServiceBusReceiver, count: number): Promise<ServiceBusReceivedMessage[]> {
  const messages: ServiceBusReceivedMessage[] = [];
  while (messages.length < count) {
    const some = await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 20_000 });
    if (some.length === 0) throw new Error(`receiving ${count} messages: only ${messages.length} came`);
    messages.push(...some);
  }
  return messages;
}

/** Receives one message, or throws. */
export async function receiveOne(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  return (await receive(receiver, 1))[0] as ServiceBusReceivedMessage;
}
