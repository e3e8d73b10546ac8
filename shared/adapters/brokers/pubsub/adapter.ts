import type { AdapterContext, AdapterSettings, Broker } from "../../registry.ts";
import { createOpenSources } from "../../support/open-sources.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { createConnection } from "./connection.ts";
import { closedError } from "./errors.ts";
import { checkName } from "./names.ts";
import { createPublisher } from "./publisher.ts";
import { pubsubSettings } from "./settings.ts";
import { createSource } from "./source.ts";

/** Opens Google Pub/Sub, or an emulator of it; nothing is connected before its first use. Throws PersistorError `settings_invalid`. */
export async function open(settings: AdapterSettings, _context: AdapterContext): Promise<Broker> {
  const parsed = parseSettings(pubsubSettings, settings, "opening Pub/Sub");
  const publisher = createPublisher(createConnection("PublisherClient", parsed));
  const sources = createOpenSources();
  let isClosed = false;
  return {
    publisher,
    async openSource(source) {
      if (isClosed) throw closedError();
      checkName("topics", source.topic);
      checkName("subscriptions", source.subscription);
      return sources.add(createSource(createConnection("SubscriberClient", parsed), source));
    },
    async close() {
      isClosed = true;
      await Promise.all([publisher.close(), sources.close()]);
    },
  };
}
