import { parseAddress } from "./address.ts";
import { type Destination, queueDestination, topicDestination } from "./destination.ts";
import { createHub, type Hub } from "./event-hubs/hub.ts";
import { type EntityOptions, type Options, withDefaults } from "./options.ts";
import { createQueue, type Queue } from "./queue.ts";
import type { HubOptions } from "./shapes.ts";

interface Topic extends Destination {
  /** By name in lower case. */
  readonly subscriptions: ReadonlyMap<string, Queue>;
}

/** The queues, topics and event hubs there are. Names are without regard to case. */
export interface Entities {
  createQueue(name: string, options?: EntityOptions): void;
  createTopic(name: string, subscriptions: Readonly<Record<string, EntityOptions>>): void;
  createHub(name: string, options: HubOptions): void;
  hub(name: string): Hub | undefined;
  /** False where there is none. */
  delete(name: string): boolean;
  /** What can be sent to: a queue, a topic. */
  destination(address: string): Destination | undefined;
  /** What can be received from: a queue, a subscription, a dead-letter queue. */
  source(address: string): Queue | undefined;
  /** Delivers what can be delivered of an entity, by its own name. */
  flow(name: string): void;
}

export interface EntitiesSetup {
  mayFlow(queue: string): boolean;
}

/** No entities yet. */
export function createEntities({ mayFlow }: EntitiesSetup): Entities {
  const queues = new Map<string, Queue>();
  const topics = new Map<string, Topic>();
  const hubs = new Map<string, Hub>();
  const make = (name: string, options: Options) => {
    const setup = { name, options, mayFlow: () => mayFlow(name) };
    const ofDeadLetters = withDefaults({ lockMs: options.lockMs, maxDeliveryCount: Infinity, maxMessageBytes: options.maxMessageBytes });
    return createQueue({ ...setup, deadLetters: createQueue({ ...setup, name: `${name}/$DeadLetterQueue`, options: ofDeadLetters }) });
  };
  const refuseTaken = (name: string) => {
    const key = name.toLowerCase();
    if (queues.has(key) || topics.has(key) || hubs.has(key)) throw new Error(`creating ${name}: an entity of that name exists`);
  };
  const source = (address: string) => {
    const { entity, subscription, isDeadLetter } = parseAddress(address);
    const name = entity.toLowerCase();
    const queue = subscription === undefined ? queues.get(name) : topics.get(name)?.subscriptions.get(subscription.toLowerCase());
    return isDeadLetter ? queue?.deadLetters : queue;
  };
  return {
    createQueue(name, options) {
      refuseTaken(name);
      queues.set(name.toLowerCase(), make(name, withDefaults(options)));
    },
    createTopic(name, subscriptions) {
      refuseTaken(name);
      const made = Object.entries(subscriptions).map(
        ([sub, options]) => [sub.toLowerCase(), make(`${name}/Subscriptions/${sub}`, withDefaults(options))] as const,
      );
      const subscriptionsByName = new Map(made);
      topics.set(name.toLowerCase(), { ...topicDestination(name, [...subscriptionsByName.values()]), subscriptions: subscriptionsByName });
    },
    createHub(name, options) {
      refuseTaken(name);
      hubs.set(
        name.toLowerCase(),
        createHub(name, options, () => mayFlow(name)),
      );
    },
    hub: (name) => hubs.get(name.toLowerCase()),
    delete: (name) => [queues, topics, hubs].some((entities) => entities.delete(name.toLowerCase())),
    destination(address) {
      const queue = queues.get(address.toLowerCase());
      return queue ? queueDestination(queue) : topics.get(address.toLowerCase());
    },
    source,
    flow(name) {
      hubs.get(name.toLowerCase())?.partitions.forEach((partition) => {
        partition.flow();
      });
      source(name)?.flow();
      source(name)?.deadLetters?.flow();
    },
  };
}
