import { setTimeout as sleep } from "node:timers/promises";
import { v1 } from "@google-cloud/pubsub";
import { grpc } from "google-gax";
import type { ReceivedMessage } from "./form.ts";

export interface SubscriptionOptions {
  /** `host:port`, as in `PUBSUB_EMULATOR_HOST`. */
  emulatorHost: string;
  projectId: string;
  subscription: string;
}

/** A pull subscription of the emulator. */
export interface PulledSubscription {
  /** `projects/p/subscriptions/s`. */
  readonly name: string;
  /** How long a message is leased by being pulled. */
  readonly leaseS: number;
  /** Some of the messages that wait, or none. */
  pull(): Promise<readonly ReceivedMessage[]>;
  /** Acknowledges soon, together with others, and tries again where it fails. */
  acknowledge(ackId: string): void;
  /** Leases messages for `seconds` from now on; 0 gives them back. */
  lease(ackIds: readonly string[], seconds: number): Promise<void>;
  /** Resolves when what was to be acknowledged is. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const MAX_PULLED = 1_000;
const MAX_IDS = 1_000;
const GATHER_MS = 5;
const RETRY_MS = 200;
const TRIES = 5;
/** Calls fail at once where the emulator is away: the library's own retries would hold up the end of a test for minutes. */
const CALL = { timeout: 10_000, retry: null };
const CHANNEL = { "grpc.max_reconnect_backoff_ms": 500 };

/** Connects to a subscription, which must exist. */
export async function openSubscription({ emulatorHost, projectId, subscription: id }: SubscriptionOptions): Promise<PulledSubscription> {
  const [servicePath, port] = emulatorHost.split(":") as [string, string];
  const sslCreds = grpc.credentials.createInsecure();
  const client = new v1.SubscriberClient({ servicePath, port: Number(port), projectId, sslCreds, ...CHANNEL });
  const subscription = client.subscriptionPath(projectId, id);
  const [{ ackDeadlineSeconds }] = await client.getSubscription({ subscription });
  const acknowledging = gathered((ackIds) => repeated(() => client.acknowledge({ subscription, ackIds }, CALL)));
  return {
    name: subscription,
    leaseS: ackDeadlineSeconds || 10,
    async pull() {
      // Waiting for messages cannot be ended: what comes to a pull that nobody waits for any more would be leased in vain.
      const [{ receivedMessages }] = await client.pull({ subscription, maxMessages: MAX_PULLED, returnImmediately: true }, CALL);
      return receivedMessages ?? [];
    },
    acknowledge: acknowledging.add,
    flush: acknowledging.flush,
    async lease(ackIds, ackDeadlineSeconds) {
      for (const some of chunks(ackIds)) {
        await repeated(() => client.modifyAckDeadline({ subscription, ackIds: some, ackDeadlineSeconds }, CALL));
      }
    },
    close: () => client.close(),
  };
}

/** Hands ids over together, soon after the first of them came. */
function gathered(send: (ids: string[]) => Promise<void>): { add(id: string): void; flush(): Promise<void> } {
  let ids: string[] = [];
  let waiting = false;
  const sending = new Set<Promise<void>>();
  const sendAll = () => {
    waiting = false;
    const all = ids;
    ids = [];
    for (const some of chunks(all)) {
      const sent = send(some).finally(() => sending.delete(sent));
      sending.add(sent);
    }
  };
  return {
    add(id) {
      ids.push(id);
      if (waiting) return;
      waiting = true;
      setTimeout(sendAll, GATHER_MS);
    },
    async flush() {
      sendAll();
      await Promise.all(sending);
    },
  };
}

/** What fails in the end is given up: leases run out, and messages come again. */
async function repeated(call: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries++) {
    try {
      await call();
      return;
    } catch {
      await sleep(RETRY_MS);
    }
  }
}

function chunks(ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / MAX_IDS) }, (_, i) => ids.slice(i * MAX_IDS, (i + 1) * MAX_IDS));
}
