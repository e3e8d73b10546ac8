import { serveControl } from "./control.ts";
import { createEntities } from "./entities.ts";
import { entityOperations } from "./entity-control.ts";
import { notFound } from "./errors.ts";
import { hubDirectory } from "./event-hubs/directory.ts";
import { createFaults, type LinkFault } from "./faults.ts";
import { startListener } from "./listener.ts";
import { createOutages, type Outage } from "./outages.ts";
import { queueDirectory } from "./queue-directory.ts";
import { type AmqpError, keepMessagesEncoded } from "./rhea-server.ts";
import type { DetachRequest, ServerSettings, Usage } from "./shapes.ts";

/*
 * A stand-in for Azure Service Bus and Azure Event Hubs, in memory, as a process of its own:
 *   node tests/services/service-bus/main.ts '<settings as JSON>'
 */

const settings: ServerSettings = JSON.parse(process.argv[2] ?? "{}");
keepMessagesEncoded();
const faults = createFaults((entity) => entities.flow(entity));
const entities = createEntities({ mayFlow: faults.mayFlow });
const directories = [hubDirectory(entities.hub), queueDirectory(entities, faults)];
const tokens = { keyName: settings.keyName, key: settings.key, identityTokens: new Set<string>() };
const listener = await startListener(settings.port, { directories, faults, tokens });
const outages = createOutages(listener);

function countLinks(entity?: string): number {
  let count = 0;
  for (const links of listener.links()) count += links.count(entity);
  return count;
}

function detach(error: AmqpError, entity?: string): number {
  let count = 0;
  for (const links of listener.links()) count += links.detach(error, entity);
  return count;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { userMs: user / 1000, systemMs: system / 1000, rssBytes: process.memoryUsage.rss() };
}

serveControl(settings.controlPort, {
  ...entityOperations(entities),
  "delete-entity"({ name }: { name: string }) {
    if (!entities.delete(name)) throw new Error(`deleting ${name}: there is no such entity`);
    detach(notFound(name), name);
  },
  ready: () => true,
  usage,
  "identity-tokens"({ tokens: known }: { tokens: readonly string[] }) {
    tokens.identityTokens = new Set(known);
  },
  "drop-connections": () => listener.dropAll(),
  links: ({ entity }: { entity?: string }) => countLinks(entity),
  "detach-links": ({ entity, condition, description = `A fault was asked for: ${condition}.` }: DetachRequest) =>
    detach({ condition, description }, entity),
  "begin-outage": (outage: Outage) => outages.begin(outage),
  "inject-fault": (fault: LinkFault) => faults.inject(fault),
  async "clear-faults"() {
    faults.clear();
    await outages.end();
  },
});
