import { RetryMode, ServiceBusClient, type ServiceBusClientOptions } from "@azure/service-bus";
import { keepRawMessages } from "../../support/amqp/raw-messages.ts";
import { azureCredential } from "../../support/azure-credential.ts";
import { endsWithin } from "../../support/within.ts";
import type { ServiceBusSettings } from "./settings.ts";

/** How long one attempt of a call may take: also that which an answer was lost for. */
export const CALL_MS = 10_000;

const OPTIONS: ServiceBusClientOptions = {
  retryOptions: { mode: RetryMode.Exponential, timeoutInMs: CALL_MS, maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 },
};

/** Makes a client; it connects at its first use. Throws PersistorError `settings_invalid` where no credential can be had. */
export async function createClient(settings: ServiceBusSettings): Promise<ServiceBusClient> {
  keepRawMessages();
  const { connectionString, fullyQualifiedNamespace } = settings;
  return connectionString === undefined
    ? new ServiceBusClient(fullyQualifiedNamespace as string, await azureCredential(settings), OPTIONS)
    : new ServiceBusClient(connectionString, OPTIONS);
}

const CLOSE_WITHIN_MS = 3_000;

/** Closes a client within seconds: where the broker does not answer, its connection is cut. */
export async function closeClient(client: ServiceBusClient): Promise<void> {
  if (await endsWithin(CLOSE_WITHIN_MS, client.close())) return;
  const { connection } = (client as unknown as Internals)._connectionContext;
  connection._connection.socket?.destroy();
}

interface Internals {
  _connectionContext: { connection: { _connection: { socket?: { destroy(): void } } } };
}
