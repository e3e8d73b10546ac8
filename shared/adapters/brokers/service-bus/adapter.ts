import type { ServiceBusClient, ServiceBusReceiverOptions } from "@azure/service-bus";
import { NO_LOG } from "../../../core/ports/log.ts";
import type { AdapterContext, AdapterSettings, Broker } from "../../registry.ts";
import { createOpenSources } from "../../support/open-sources.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { createConnecting } from "./connection.ts";
import { closedError } from "./errors.ts";
import { checkName } from "./names.ts";
import { createPublisher } from "./publisher.ts";
import { isReadBySession, serviceBusSettings, serviceBusSourceSettings } from "./settings.ts";
import { createReceivers } from "./source/receivers.ts";
import { createSessions } from "./source/sessions.ts";
import { createSource } from "./source/source.ts";

/** Opens a namespace of Service Bus; nothing is connected before its first use. Throws PersistorError `settings_invalid`. */
export async function open(settings: AdapterSettings, { log = NO_LOG }: AdapterContext): Promise<Broker> {
  const parsed = parseSettings(serviceBusSettings, settings, "opening Service Bus");
  const { maxMessageBytes } = parsed;
  const connect = await createConnecting(parsed);
  const publisher = createPublisher(connect, maxMessageBytes);
  const sources = createOpenSources();
  let isClosed = false;
  return {
    publisher,
    async openSource({ id, topic, subscription, own = {} }) {
      if (isClosed) throw closedError();
      const ownSettings = parseSettings(serviceBusSourceSettings, own, `opening ${topic} of Service Bus`);
      const { entity, deadLetterQueue } = ownSettings;
      checkName("topic or queue", topic);
      if (entity === "topic") checkName("subscription", subscription);
      const path: Path = entity === "topic" ? [topic, subscription] : [topic];
      const source = createSource({
        origin: { id, topic },
        entity: path.join("/"),
        maxMessageBytes,
        log,
        openInflow: (events) =>
          isReadBySession(ownSettings)
            ? createSessions({ connect, events, accept: (client, signal) => acceptNext(client, path, signal) })
            : createReceivers({ connect, events, open: (client) => receiverOf(client, path, deadLetterQueue) }),
      });
      return sources.add(source);
    },
    async close() {
      isClosed = true;
      await Promise.allSettled([publisher.close(), sources.close()]);
    },
  };
}

type Path = readonly [topic: string, subscription?: string];

/** Locks are looked after here, where it is known how long they are wanted. */
const RECEIVING = { receiveMode: "peekLock", maxAutoLockRenewalDurationInMs: 0 } as const;

function receiverOf(client: ServiceBusClient, [topic, subscription]: Path, deadLetterQueue: boolean) {
  const options: ServiceBusReceiverOptions = { ...RECEIVING, ...(deadLetterQueue ? { subQueueType: "deadLetter" } : {}) };
  return subscription === undefined ? client.createReceiver(topic, options) : client.createReceiver(topic, subscription, options);
}

function acceptNext(client: ServiceBusClient, [topic, subscription]: Path, abortSignal: AbortSignal) {
  const options = { ...RECEIVING, abortSignal };
  return subscription === undefined ? client.acceptNextSession(topic, options) : client.acceptNextSession(topic, subscription, options);
}
