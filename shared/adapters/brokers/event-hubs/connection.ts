import {
  type CheckpointStore,
  type EventHubClientOptions,
  EventHubConsumerClient,
  type EventHubConsumerClientOptions,
  EventHubProducerClient,
  RetryMode,
} from "@azure/event-hubs";
import { BrokerError } from "../../../core/errors.ts";
import { keepRawMessages } from "../../support/amqp/raw-messages.ts";
import { azureCredential } from "../../support/azure-credential.ts";
import { type EventHubsSettings, hubOf } from "./settings.ts";

/** How clients of single event hubs are made; each connects at its first use. */
export interface Connecting {
  /** Throws BrokerError `refused` where the connection string is for another event hub. */
  producer(hub: string): EventHubProducerClient;
  consumer(hub: string, group: string, store: CheckpointStore, options: EventHubConsumerClientOptions): EventHubConsumerClient;
}

/** `timeoutInMs`: how long one attempt of a call may take, also that which an answer was lost for. */
const OPTIONS: EventHubClientOptions = {
  retryOptions: { mode: RetryMode.Exponential, timeoutInMs: 10_000, maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 },
};

/** Throws PersistorError `settings_invalid` where no credential can be had. */
export async function createConnecting(settings: EventHubsSettings): Promise<Connecting> {
  keepRawMessages();
  const { connectionString, fullyQualifiedNamespace } = settings;
  if (connectionString === undefined) {
    const namespace = fullyQualifiedNamespace as string;
    const credential = await azureCredential(settings);
    return {
      producer: (hub) => new EventHubProducerClient(namespace, hub, credential, optionsOf()),
      consumer: (hub, group, store, options) =>
        new EventHubConsumerClient(group, namespace, hub, credential, store, { ...optionsOf(), ...options }),
    };
  }
  const only = hubOf(connectionString);
  const check = (hub: string) => {
    if (only === undefined || only === hub) return;
    const text = `using event hub ${hub}: the connection string of PERSISTOR_EVENT_HUBS is for event hub ${only}; use one of the namespace`;
    throw new BrokerError("refused", text);
  };
  return {
    producer(hub) {
      check(hub);
      return new EventHubProducerClient(connectionString, hub, optionsOf());
    },
    consumer(hub, group, store, options) {
      check(hub);
      return new EventHubConsumerClient(group, connectionString, hub, store, { ...optionsOf(), ...options });
    },
  };
}

/** The SDK writes into the retry options that it is given. */
function optionsOf(): EventHubClientOptions {
  return structuredClone(OPTIONS);
}
