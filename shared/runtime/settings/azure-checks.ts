import type { KafkaSettings } from "../../adapters/brokers/kafka/settings.ts";
import type { InputFault } from "../../core/errors.ts";
import { functionName } from "../azure/function-name.ts";
import type { Pipelines } from "./checks.ts";
import type { SettingName } from "./declarations.ts";
import type { BrokerKind } from "./pipelines.ts";

/** One of Azure's services, and the settings that say how it is reached. */
interface Connection {
  product: string;
  connectionString: SettingName;
  /** Where it is, for an identity. */
  place: SettingName;
  identity: readonly SettingName[];
}

const STORAGE: Connection = {
  product: "Azure Blob Storage",
  connectionString: "PERSISTOR_AZURE_STORAGE",
  place: "PERSISTOR_AZURE_STORAGE__blobServiceUri",
  identity: ["PERSISTOR_AZURE_STORAGE__credential", "PERSISTOR_AZURE_STORAGE__clientId"],
};
const SERVICE_BUS: Connection = {
  product: "Service Bus",
  connectionString: "PERSISTOR_SERVICE_BUS",
  place: "PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace",
  identity: ["PERSISTOR_SERVICE_BUS__credential", "PERSISTOR_SERVICE_BUS__clientId"],
};
const EVENT_HUBS: Connection = {
  product: "Event Hubs",
  connectionString: "PERSISTOR_EVENT_HUBS",
  place: "PERSISTOR_EVENT_HUBS__fullyQualifiedNamespace",
  identity: ["PERSISTOR_EVENT_HUBS__credential", "PERSISTOR_EVENT_HUBS__clientId"],
};

interface Named {
  PERSISTOR_STORES: Readonly<Record<string, { kind: string }>>;
  PERSISTOR_DESTINATIONS: Readonly<Record<string, { broker: BrokerKind }>> | undefined;
  PERSISTOR_WORK_TOPIC: { broker: BrokerKind } | undefined;
}

/** Connections to Azure's services that are told twice, or half, or not at all though something uses them. */
export function* azureConnectionFaults(isSet: (name: SettingName) => boolean, pipelines: Pipelines, named: Named): Generator<InputFault> {
  yield* connectionFaults(STORAGE, isSet, storeUsers(pipelines, named));
  yield* connectionFaults(SERVICE_BUS, isSet, brokerUsers("service-bus", pipelines, named));
  yield* connectionFaults(EVENT_HUBS, isSet, brokerUsers("event-hubs", pipelines, named));
}

function* connectionFaults(
  { product, connectionString, place, identity }: Connection,
  isSet: (name: SettingName) => boolean,
  users: readonly string[],
): Generator<InputFault> {
  if (isSet(connectionString) && isSet(place)) yield { path: connectionString, message: `is set together with ${place}; set one of them` };
  for (const path of identity) if (isSet(path) && !isSet(place)) yield { path, message: `is of no use without ${place}` };
  if (users.length > 0 && !isSet(connectionString) && !isSet(place))
    yield { path: connectionString, message: `must be set, or ${place}: ${users.join(", ")} use ${product}` };
}

function storeUsers(pipelines: Pipelines, { PERSISTOR_STORES: stores }: Named): string[] {
  const isUsed = ({ kind }: { kind?: string }) => kind === "azure-blob";
  // Event Hubs' checkpoints lie in the same account.
  const users = (name: string, { store, source }: Pipelines[string]) =>
    isUsed(store) || source.broker === "event-hubs" ? [`pipeline ${name}`] : [];
  return [
    ...Object.entries(pipelines).flatMap(([name, pipeline]) => users(name, pipeline)),
    ...Object.entries(stores).flatMap(([name, store]) => (isUsed(store) ? [`store ${name}`] : [])),
  ];
}

/** Who uses a broker, for messages. */
export function brokerUsers(
  broker: BrokerKind,
  pipelines: Pipelines,
  { PERSISTOR_DESTINATIONS: destinations = {}, PERSISTOR_WORK_TOPIC: workTopic }: Omit<Named, "PERSISTOR_STORES">,
): string[] {
  return [
    ...Object.entries(pipelines).flatMap(([name, { source, index, deadLetter }]) =>
      [source, index, deadLetter].some((part) => part?.broker === broker) ? [`pipeline ${name}`] : [],
    ),
    ...Object.entries(destinations).flatMap(([name, destination]) => (destination.broker === broker ? [`destination ${name}`] : [])),
    ...(workTopic?.broker === broker ? ["PERSISTOR_WORK_TOPIC"] : []),
  ];
}

/** Azure's Kafka trigger connects by itself, with less than this process knows. */
export function* kafkaTriggerFaults(
  variable: string,
  pipelines: Pipelines,
  workTopic: { broker: BrokerKind } | undefined,
  { sasl, tls }: KafkaSettings,
  hasTriggerPassword: boolean,
): Generator<InputFault> {
  const lacking =
    sasl?.mechanism === "OAUTHBEARER" ? "does not do OAUTHBEARER" : typeof tls === "object" ? "takes no certificates and names" : undefined;
  const trigger = `Azure's Kafka trigger ${lacking}`;
  let isUsed = workTopic?.broker === "kafka";
  if (isUsed && lacking !== undefined) yield { path: "PERSISTOR_WORK_TOPIC.broker", message: `must be another broker: ${trigger}` };
  for (const [name, { source, index }] of Object.entries(pipelines)) {
    const isClassic = source.broker === "kafka" && (source as { binding?: string }).binding === "classic";
    isUsed ||= isClassic || index?.broker === "kafka";
    if (lacking === undefined) continue;
    if (isClassic) yield { path: `${variable}.${name}.source.binding`, message: `must be drain: ${trigger}` };
    if (index?.broker === "kafka") yield { path: `${variable}.${name}.index.broker`, message: `must be another broker: ${trigger}` };
  }
  if (isUsed && sasl && lacking === undefined && !hasTriggerPassword)
    yield { path: "PERSISTOR_KAFKA_TRIGGER_PASSWORD", message: "must be set: Azure's Kafka trigger logs in by itself" };
}

/** Pipelines, those of dead letters included, that would be the same function of a function app. */
export function* functionNameFaults(variable: string, names: readonly string[]): Generator<InputFault> {
  const byFunction = new Map<string, string>();
  for (const name of names) {
    const own = functionName("persist", name);
    // Azure does not tell capital letters from small ones.
    const other = byFunction.get(own.toLowerCase());
    if (other !== undefined)
      yield { path: `${variable}.${name}`, message: `would be the function ${own}, as pipeline ${other} would; rename one of them` };
    byFunction.set(own.toLowerCase(), name);
  }
}
