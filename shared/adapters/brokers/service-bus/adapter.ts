import type { ServiceBusReceiverOptions } from "@azure/service-bus";
import { NO_LOG } from "../../../core/ports/log.ts";
import type { Source } from "../../../core/ports/source.ts";
import type { AdapterContext, AdapterSettings, Broker } from "../../registry.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { closeClient, createClient } from "./connection.ts";
import { closedError } from "./errors.ts";
import { checkName } from "./names.ts";
import { createPublisher } from "./publisher.ts";
import { serviceBusSettings, serviceBusSourceSettings } from "./settings.ts";
import { createReceivers } from "./source/receivers.ts";
import { createSessions } from "./source/sessions.ts";
import { createSource } from "./source/source.ts";

/** Opens a namespace of Service Bus; nothing is connected before its first use. Throws PersistorError `settings_invalid`. */
export async function open(settings: AdapterSettings, { log = NO_LOG }: AdapterContext): Promise<Broker> {
  const parsed = parseSettings(serviceBusSettings, settings, "opening Service Bus");
  const client = await createClient(parsed);
  const publisher = createPublisher(client, parsed.maxMessageBytes);
  const sources = new Set<Source>();
  let isClosed = false;
  return {
    publisher,
    async openSource({ id, topic, subscription, own = {} }) {
      if (isClosed) throw closedError();
      const { entity, sessions, deadLetterQueue } = parseSettings(serviceBusSourceSettings, own, `opening ${topic} of Service Bus`);
      checkName("topic or queue", topic);
      if (entity === "topic") checkName("subscription", subscription);
      const path = entity === "topic" ? ([topic, subscription] as const) : ([topic] as const);
      const source = createSource({
        origin: { id, topic },
        entity: path.join("/"),
        maxMessageBytes: parsed.maxMessageBytes,
        log,
        openInflow: (events) =>
          sessions && !deadLetterQueue
            ? createSessions((signal) => acceptNext(path, signal), events)
            : createReceivers(() => receiverOf(path, deadLetterQueue), events),
      });
      const close = async () => {
        await source.close();
        sources.delete(source);
      };
      sources.add(source);
      return { ...source, close };
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await Promise.allSettled([publisher.close(), ...[...sources].map((source) => source.close())]);
      await closeClient(client);
    },
  };

  function receiverOf([topic, subscription]: Path, deadLetterQueue: boolean) {
    const options: ServiceBusReceiverOptions = { ...RECEIVING, ...(deadLetterQueue ? { subQueueType: "deadLetter" } : {}) };
    return subscription === undefined ? client.createReceiver(topic, options) : client.createReceiver(topic, subscription, options);
  }

  function acceptNext([topic, subscription]: Path, abortSignal: AbortSignal) {
    const options = { ...RECEIVING, abortSignal };
    return subscription === undefined ? client.acceptNextSession(topic, options) : client.acceptNextSession(topic, subscription, options);
  }
}

type Path = readonly [topic: string, subscription?: string];

/** Locks are looked after here, where it is known how long they are wanted. */
const RECEIVING = { receiveMode: "peekLock", maxAutoLockRenewalDurationInMs: 0 } as const;
