import type { AdapterContext, AdapterSettings, Broker } from "../../registry.ts";
import { createOpenSources } from "../../support/open-sources.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { createConnecting } from "./connecting.ts";
import { closedError } from "./errors.ts";
import type { StartAt } from "./group/offsets.ts";
import { checkGroup, checkTopic } from "./names.ts";
import { createPublisher } from "./publisher/publisher.ts";
import { kafkaSettings, kafkaSourceSettings } from "./settings.ts";
import { createSource } from "./source/source.ts";

/** Opens a Kafka cluster; nothing is connected before its first use. Throws PersistorError `settings_invalid`. */
export async function open(settings: AdapterSettings, { log }: AdapterContext): Promise<Broker> {
  const parsed = parseSettings(kafkaSettings, settings, "opening Kafka");
  const connect = createConnecting(parsed);
  const { compression, idempotent: isIdempotent, maxMessageBytes } = parsed;
  const publisher = createPublisher(connect(), { compression, isIdempotent, maxMessageBytes });
  const sources = createOpenSources();
  let isClosed = false;
  return {
    publisher,
    async openSource({ id, topic, subscription: group, own = {} }) {
      if (isClosed) throw closedError();
      checkTopic(topic);
      checkGroup(group);
      const { start, isolation, sessionTimeoutMs } = parseSettings(kafkaSourceSettings, own, `opening topic ${topic} of Kafka`);
      const isReadCommitted = isolation === "committed";
      return sources.add(createSource(connect(), { id, topic, group, start: startOf(start), isReadCommitted, sessionTimeoutMs, log }));
    },
    async close() {
      isClosed = true;
      await Promise.all([publisher.close(), sources.close()]);
    },
  };
}

function startOf(text: string): StartAt {
  return text === "earliest" || text === "latest" ? text : Date.parse(text);
}
