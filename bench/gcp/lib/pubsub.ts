import { PubSub, v1 } from "@google-cloud/pubsub";
import { grpc } from "google-gax";
import type { Message } from "../../../shared/core/message.ts";
import type { GcpCloud } from "../../../tests/services/gcp-cloud.ts";
import { messageAt } from "../../lib/flights.ts";
import { inLanes } from "../../lib/timing.ts";

/** Where the emulator is; goes to other processes as JSON. */
export interface Emulator {
  host: string;
  projectId: string;
}

/** `count` flights, to be published to a topic. */
export interface PublishOrder extends Emulator {
  topic: string;
  count: number;
}

const MESSAGES_PER_CALL = 1_000;
const CALLS_IN_FLIGHT = 4;
const ACK_DEADLINE_S = 60;

export function emulatorOf({ emulator, projectId }: GcpCloud): Emulator {
  return { host: emulator.host, projectId };
}

/** The SDK, on the emulator. */
export function openPubSub({ host, projectId }: Emulator): PubSub {
  return new PubSub({ projectId, apiEndpoint: host, emulatorMode: true });
}

/** What the SDK's low-level clients are opened with. */
export function clientOptions({ host, projectId }: Emulator) {
  const [servicePath, port] = host.split(":");
  return { servicePath, port: Number(port), projectId, sslCreds: grpc.credentials.createInsecure() };
}

/** A message with what Pub/Sub carries: it has no content type. */
export function carried(message: Message): Message {
  return { ...message, contentType: "" };
}

/** Makes subscriptions, which hold what is published from now on. */
export async function subscribe({ pubsub }: GcpCloud, topic: string, subscriptions: readonly string[]): Promise<void> {
  for (const name of subscriptions) await pubsub.topic(topic).createSubscription(name, { ackDeadlineSeconds: ACK_DEADLINE_S });
}

/** Publishes flights by the SDK's low-level client, 1,000 a call and four calls at a time. Returns the milliseconds that it took, once the messages were made. */
export async function publishFlights({ topic, count, ...emulator }: PublishOrder): Promise<number> {
  const client = new v1.PublisherClient(clientOptions(emulator));
  const path = `projects/${emulator.projectId}/topics/${topic}`;
  const calls = Array.from({ length: Math.ceil(count / MESSAGES_PER_CALL) }, (_, call) => {
    const first = call * MESSAGES_PER_CALL;
    return Array.from({ length: Math.min(MESSAGES_PER_CALL, count - first) }, (_, i) => fieldsAt(first + i));
  });
  const startMs = performance.now();
  await inLanes(CALLS_IN_FLIGHT, calls.length, async (i) => {
    await client.publish({ topic: path, messages: calls[i] });
  });
  const ms = performance.now() - startMs;
  await client.close();
  return ms;
}

function fieldsAt(i: number) {
  const { payload, attributes } = messageAt(i);
  return { data: payload, attributes: Object.fromEntries(attributes.map(({ name, value }) => [name, value as string])) };
}
