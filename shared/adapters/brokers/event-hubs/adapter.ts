import type { ContainerClient } from "@azure/storage-blob";
import { NO_LOG } from "../../../core/ports/log.ts";
import type { AdapterContext, AdapterSettings, Broker } from "../../registry.ts";
import { createOpenSources } from "../../support/open-sources.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { createConnecting } from "./connection.ts";
import { closedError } from "./errors.ts";
import { checkGroup, checkHub } from "./names.ts";
import { createPublisher } from "./publisher.ts";
import { eventHubsSettings, eventHubsSourceSettings } from "./settings.ts";
import { createCheckpoints } from "./source/checkpoints.ts";
import { createSource } from "./source/source.ts";
import { createStarting, type StartAt } from "./source/starting.ts";
import { containerOf } from "./source/storage.ts";

/** Opens a namespace of Event Hubs; nothing is connected before its first use. Throws PersistorError `settings_invalid`. */
export async function open(settings: AdapterSettings, { log = NO_LOG }: AdapterContext): Promise<Broker> {
  const parsed = parseSettings(eventHubsSettings, settings, "opening Event Hubs");
  const connecting = await createConnecting(parsed);
  const publisher = createPublisher(connecting, parsed.maxMessageBytes);
  const sources = createOpenSources();
  const containers = new Map<string, ContainerClient>();
  let isClosed = false;
  return {
    publisher,
    async openSource({ id, topic, subscription: group, own = {} }) {
      if (isClosed) throw closedError();
      checkHub(topic);
      checkGroup(group);
      const doing = `opening event hub ${topic}`;
      const { start, checkpointContainer = parsed.checkpointContainer } = parseSettings(eventHubsSourceSettings, own, doing);
      const container = containers.get(checkpointContainer) ?? (await containerOf(parsed.storage, checkpointContainer));
      containers.set(checkpointContainer, container);
      const checkpoints = createCheckpoints(container);
      const source = createSource({
        id,
        topic,
        group,
        connect: (store, options) => connecting.consumer(topic, group, store, options),
        checkpoints,
        starting: createStarting({ checkpoints, group, start: startOf(start), log }),
        log,
      });
      return sources.add(source);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await Promise.all([publisher.close(), sources.close()]);
    },
  };
}

function startOf(text: string): StartAt {
  return text === "earliest" || text === "latest" ? text : Date.parse(text);
}
