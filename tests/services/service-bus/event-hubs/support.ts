import {
  type EventData,
  EventHubConsumerClient,
  EventHubProducerClient,
  type EventPosition,
  type ReceivedEventData,
  type SubscribeOptions,
  type Subscription,
} from "@azure/event-hubs";
import type { HubOptions } from "../../service-bus-server.ts";
import { freshName, ONE_TRY, type ServerSuite, serverSuite } from "../support.ts";

export interface HubSuite extends Pick<ServerSuite, "server" | "onEnd"> {
  /** A hub, of two partitions by default, with a client that sends, and with others that read for a consumer group. */
  freshHub(options?: HubOptions): Promise<FreshHub>;
  /** Reads a partition from a position on, to the end of the test. */
  read(consumer: EventHubConsumerClient, partition: string, startPosition: EventPosition, options?: SubscribeOptions): Reading;
}

export interface FreshHub {
  hub: string;
  producer: EventHubProducerClient;
  consumer(group?: string): EventHubConsumerClient;
}

export interface Reading {
  events: ReceivedEventData[];
  errors: (Error & { code?: string })[];
  subscription: Subscription;
}

export const OPTIONS = { retryOptions: ONE_TRY };
const GROUP = "$Default";

export function hubSuite(): HubSuite {
  const suite = serverSuite();
  return {
    get server() {
      return suite.server;
    },
    onEnd: suite.onEnd,
    async freshHub(options = { partitions: 2 }) {
      const hub = freshName("hub");
      await suite.server.createEventHub(hub, options);
      const producer = new EventHubProducerClient(suite.server.connectionString, hub, OPTIONS);
      suite.onEnd(() => producer.close());
      const consumer = (group = GROUP) => {
        const opened = new EventHubConsumerClient(group, suite.server.connectionString, hub, OPTIONS);
        suite.onEnd(() => opened.close());
        return opened;
      };
      return { hub, producer, consumer };
    },
    read(consumer, partition, startPosition, options = {}) {
      const events: ReceivedEventData[] = [];
      const errors: Error[] = [];
      const handlers = {
        processEvents: async (some: ReceivedEventData[]) => void events.push(...some),
        processError: async (error: Error) => void errors.push(error),
      };
      const subscription = consumer.subscribe(partition, handlers, { startPosition, maxWaitTimeInSeconds: 1, ...options });
      suite.onEnd(() => subscription.close());
      return { events, errors, subscription };
    },
  };
}

export const bodies = (count: number, from = 0): EventData[] => Array.from({ length: count }, (_, i) => ({ body: from + i }));
export const to = (partition: number) => ({ partitionId: String(partition) });
export const bodiesOf = ({ events }: Reading): unknown[] => events.map(({ body }) => body);
