import { parseServiceBusConnectionString, ServiceBusAdministrationClient } from "@azure/service-bus";
import type { ServiceBusServer } from "../service-bus-server.ts";
import type { EntityOptions } from "./options.ts";

/** Why a test cannot have something of a namespace that is not its own. */
export class NotOfGivenServiceBus extends Error {
  constructor(what: string) {
    super(`${what}: only the server that the tests start themselves can; unset PERSISTOR_TEST_SERVICE_BUS`);
  }
}

const HERE_ONLY = [
  "createEventHub",
  "counts",
  "messages",
  "load",
  "truncate",
  "expireLocks",
  "links",
  "dropConnections",
  "detachLinks",
  "injectFault",
  "beginOutage",
  "clearFaults",
  "allowIdentityTokens",
  "usage",
] as const;

/**
 * A namespace of Azure, or Microsoft's emulator, by its connection string. Queues and topics are made by the administration client, which
 * an emulator does not answer: there they are made by hand, in its settings. What else only the tests' own server can do throws.
 */
export function givenServiceBus(connectionString: string): ServiceBusServer {
  const { endpoint } = parseServiceBusConnectionString(connectionString);
  const { hostname: host, port } = new URL(endpoint);
  const admin = new ServiceBusAdministrationClient(connectionString);
  const missing = HERE_ONLY.map((name) => [name, () => Promise.reject(new NotOfGivenServiceBus(name))] as const);
  return {
    ...(Object.fromEntries(missing) as unknown as Pick<ServiceBusServer, (typeof HERE_ONLY)[number]>),
    kind: "given",
    connectionString,
    host,
    port: Number(port || 5671),
    get pid(): number {
      throw new NotOfGivenServiceBus("pid");
    },
    async createQueue(name, options = {}) {
      await admin.createQueue(name, settingsOf(options));
    },
    async createTopic(name, subscriptions) {
      await admin.createTopic(name);
      for (const [subscription, options] of Object.entries(subscriptions)) {
        const { requiresDuplicateDetection: _, duplicateDetectionHistoryTimeWindow: __, ...settings } = settingsOf(options);
        await admin.createSubscription(name, subscription, settings);
      }
    },
    async deleteEntity(name) {
      await ((await admin.queueExists(name)) ? admin.deleteQueue(name) : admin.deleteTopic(name));
    },
    output: () => "",
    stop: async () => undefined,
  };
}

function settingsOf({ lockMs, maxDeliveryCount, requiresSession, defaultTtlMs, duplicateDetectionMs, ...others }: EntityOptions) {
  const [unknown] = Object.keys(others);
  if (unknown) throw new NotOfGivenServiceBus(`setting ${unknown}`);
  return {
    lockDuration: durationOf(lockMs),
    maxDeliveryCount,
    requiresSession,
    defaultMessageTimeToLive: durationOf(defaultTtlMs),
    requiresDuplicateDetection: duplicateDetectionMs ? true : undefined,
    duplicateDetectionHistoryTimeWindow: durationOf(duplicateDetectionMs),
  };
}

/** As ISO 8601 has it. */
const durationOf = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : `PT${ms / 1000}S`);
