import { RetryMode, ServiceBusClient, type ServiceBusClientOptions } from "@azure/service-bus";
import { errorText, PersistorError } from "../../../core/errors.ts";
import { keepRawMessages } from "../../support/amqp/raw-messages.ts";
import { azureCredential } from "../../support/azure-credential.ts";
import { endsWithin } from "../../support/within.ts";
import type { ServiceBusSettings } from "./settings.ts";

/** How long one attempt of a call may take: also that which an answer was lost for. */
const CALL_MS = 10_000;
const CLOSE_WITHIN_MS = 2_000;

const OPTIONS: ServiceBusClientOptions = {
  retryOptions: { mode: RetryMode.Exponential, timeoutInMs: CALL_MS, maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 },
};

/** Makes clients, each with a connection of its own that is opened at its first use. */
export type Connecting = () => ServiceBusClient;

/** Throws PersistorError `settings_invalid` where no client can be made of these settings. */
export async function createConnecting(settings: ServiceBusSettings): Promise<Connecting> {
  keepRawMessages();
  const { connectionString, fullyQualifiedNamespace } = settings;
  if (connectionString === undefined) {
    const credential = await azureCredential(settings);
    return () => answeredAtOnce(new ServiceBusClient(fullyQualifiedNamespace as string, credential, OPTIONS));
  }
  const connect = () => answeredAtOnce(new ServiceBusClient(connectionString, OPTIONS));
  try {
    await connect().close();
  } catch (cause) {
    const text = `opening Service Bus: PERSISTOR_SERVICE_BUS is no connection string (${errorText(cause)}); copy it whole from the namespace's shared access policies`;
    throw new PersistorError("settings_invalid", text, { cause });
  }
  return connect;
}

/** rhea's connection of a client. */
function connectionOf(client: ServiceBusClient): AmqpConnection {
  return (client as unknown as Internals)._connectionContext.connection._connection;
}

interface Internals {
  _connectionContext: { connection: { _connection: AmqpConnection } };
}

interface AmqpConnection {
  is_open(): boolean;
  options: { tcp_no_delay?: boolean };
  socket?: { destroy(error: Error): void };
}

/** Has what is asked sent at once: each session is asked for by several small messages in turn, which would wait for others 40 ms each. */
function answeredAtOnce(client: ServiceBusClient): ServiceBusClient {
  connectionOf(client).options.tcp_no_delay = true;
  return client;
}

export function isConnected(client: ServiceBusClient): boolean {
  return connectionOf(client).is_open();
}

/** Closes a client within seconds: where the broker does not answer, its connection is cut. */
export async function closeClient(client: ServiceBusClient): Promise<void> {
  if (await endsWithin(CLOSE_WITHIN_MS, client.close())) return;
  // With an error: rhea sees no other end of a socket, and what waits for it in the SDK would go on to wait for a minute.
  connectionOf(client).socket?.destroy(new Error("Service Bus did not answer a close in time"));
}
