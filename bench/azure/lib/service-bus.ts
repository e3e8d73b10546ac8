import { SERVICE_BUS } from "../../../shared/adapters/brokers/service-bus/message.ts";
import { writeMessage } from "../../../shared/adapters/support/amqp/writing.ts";
import { type ServiceBusServer, startServiceBusServer } from "../../../tests/services/service-bus-server.ts";
import type { Progress } from "../../lib/child.ts";
import { spelled } from "../../lib/context.ts";
import { contentAt, messageIdOf } from "./messages.ts";

/** Where the namespace is; goes to other processes as JSON. */
export interface Namespace {
  connectionString: string;
}

/** `count` messages and a queue or topic. */
export interface FlightsOrder extends Namespace {
  entity: string;
  count: number;
}

/** Longer than any measurement: no lock is lost, and nothing comes twice. */
export const ENTITY = { lockMs: 300_000 };

const LOADED_AT_ONCE = 2_000;

/** Gives `work` a namespace of its own, and stops it after it. */
export async function withServiceBus<T>(work: (server: ServiceBusServer) => Promise<T>): Promise<T> {
  const server = await startServiceBusServer();
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

/** Puts flights 0 to `count` - 1 into all subscriptions of a topic. */
export async function loadFlights(server: ServiceBusServer, topic: string, count: number, progress: Progress): Promise<void> {
  progress(`loading ${spelled(count)} messages`);
  for (let first = 0; first < count; first += LOADED_AT_ONCE) {
    const size = Math.min(LOADED_AT_ONCE, count - first);
    const encoded = Array.from({ length: size }, (_, i) => writeMessage(contentAt(first + i), SERVICE_BUS, messageIdOf(first + i)));
    await server.load(topic, encoded);
  }
}
