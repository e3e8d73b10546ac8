import { z } from "zod";
import { kafkaSettings } from "../../adapters/brokers/kafka/settings.ts";
import { indexes } from "../../adapters/registry.ts";
import { blobConnectionStringSchema, blobServiceUriSchema } from "../../adapters/stores/azure-blob/settings.ts";
import { azureIdentitySettings } from "../../adapters/support/azure-credential.ts";
import { authSchema, CLOSED_AUTH, OPEN_AUTH } from "../auth/settings.ts";
import { triggerAuthSchema } from "../auth/trigger-settings.ts";
import { names } from "./names.ts";
import { DEFAULT_PIPELINES, DEFAULT_STORES, destinationSchema, destinationsSchema, pipelinesSchema } from "./pipelines.ts";
import { storesSchema } from "./stores.ts";

/** One environment variable: everything that is known of it, in one place. */
export interface Declaration<T = unknown> {
  doc: string;
  /** Takes the variable's text, or the parsed value where `json` is set. */
  schema: z.ZodType<T>;
  /** The value where the variable is not set. */
  fallback: NoInfer<T>;
  /** How the documents show the fallback. */
  shown: string;
  /** The fallback of functions on a cloud, where it is another one. */
  onCloud?: { fallback: NoInfer<T>; shown: string };
  /** That of functions on Azure, where it is another one still. */
  onAzure?: { fallback: NoInfer<T>; shown: string };
  /** The text is JSON. */
  json?: boolean;
  /** Never logged, never shown in an error. */
  secret?: boolean;
}

const declare = <T>(declaration: Declaration<T>): Declaration<T> => declaration;

const number = (low: number, high: number) =>
  z.string().regex(/^\d+$/, "must be a whole number").transform(Number).pipe(z.int().min(low).max(high));
const word = <const T extends readonly [string, ...string[]]>(words: T) => z.enum(words);

/** How a namespace of Azure is reached, by the names that connections of Azure Functions use: the platform's triggers read the same settings. */
const namespaceConnection = (product: string, variable: string) => ({
  connectionString: declare({
    doc: `Connection string of the ${product} namespace. Either this or \`${variable}__fullyQualifiedNamespace\`.`,
    schema: z
      .string()
      .regex(/Endpoint=sb:\/\//i, "must be a connection string: Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…")
      .optional(),
    fallback: undefined,
    shown: "none",
    secret: true,
  }),
  namespace: declare({
    doc: "`<namespace>.servicebus.windows.net`, where the process's identity is the credential.",
    schema: z
      .string()
      .regex(/^[A-Za-z0-9.-]+$/, "must be a host's name, without sb:// and slashes")
      .optional(),
    fallback: undefined,
    shown: "none",
  }),
  credential: declare({
    doc: "`managedidentity`: an identity of Azure and no other credential.",
    schema: azureIdentitySettings.shape.credential,
    fallback: undefined,
    shown: "what `DefaultAzureCredential` finds",
  }),
  clientId: declare({
    doc: "Client id of a user-assigned identity.",
    schema: azureIdentitySettings.shape.clientId,
    fallback: undefined,
    shown: "the process's own identity",
  }),
});
const serviceBus = namespaceConnection("Service Bus", "PERSISTOR_SERVICE_BUS");
const eventHubs = namespaceConnection("Event Hubs", "PERSISTOR_EVENT_HUBS");

/** Every setting, of the local host and of the functions on a cloud. */
export const DECLARATIONS = {
  PORT: declare({ doc: "Port that the host listens on; 0 takes a free one.", schema: number(0, 65_535), fallback: 7071, shown: "7071" }),
  HOST: declare({
    doc: "Address that the host listens on. Anything but loopback makes it reachable from outside: set `PERSISTOR_AUTH` first.",
    schema: z.string().min(1),
    fallback: "127.0.0.1",
    shown: "127.0.0.1",
  }),
  PERSISTOR_DATA_DIR: declare({
    doc: "Folder of the embedded broker, index, job store and objects.",
    schema: z.string().min(1),
    fallback: "./data",
    shown: "./data",
  }),
  PERSISTOR_SAMPLE: declare({
    doc: "`on`: an empty data folder is fed with the sample data first. It needs the default pipelines.",
    schema: word(["on", "off"]),
    fallback: "on",
    shown: "on",
  }),
  PERSISTOR_PIPELINES: declare({
    doc: "The pipelines, by name, as JSON.",
    schema: pipelinesSchema,
    fallback: pipelinesSchema.parse(DEFAULT_PIPELINES),
    shown: "the pipelines `earthquakes` and `flights` of the sample data",
    onCloud: { fallback: {}, shown: "none, it must be set" },
    json: true,
  }),
  PERSISTOR_PIPELINES_FILE: declare({
    doc: "A file that holds the pipelines instead.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "none",
  }),
  PERSISTOR_STORES: declare({
    doc: "Stores that pipelines refer to by name, as JSON.",
    schema: storesSchema,
    fallback: storesSchema.parse(DEFAULT_STORES),
    shown: '{"local": {"kind": "fs"}}',
    onCloud: { fallback: {}, shown: "none" },
    json: true,
  }),
  PERSISTOR_DESTINATIONS: declare({
    doc: 'Where resubmission may publish, by name, as JSON: `{"replay": {"broker": "embedded", "topic": "orders-replay"}}`. The map is the allow-list.',
    schema: destinationsSchema.optional(),
    fallback: undefined,
    shown: "any topic of the embedded broker, by its name",
    onCloud: { fallback: {}, shown: "none" },
    json: true,
  }),
  PERSISTOR_KAFKA: declare({
    doc: 'The Kafka cluster, as JSON: `{"brokers": ["host:9092"]}`, and what the table below says.',
    schema: kafkaSettings.optional(),
    fallback: undefined,
    shown: "none",
    json: true,
    secret: true,
  }),
  PERSISTOR_INDEX: declare({
    doc: "Adapter of the index and of the jobs.",
    schema: z.enum(names(indexes)),
    fallback: "sqlite",
    shown: "sqlite",
    onCloud: { fallback: "mongodb", shown: "mongodb" },
  }),
  PERSISTOR_MONGODB_URI: declare({
    doc: "Where MongoDB is, for the index `mongodb`.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "none",
    secret: true,
  }),
  PERSISTOR_MONGODB_DATABASE: declare({
    doc: "Database of collections and jobs, for the index `mongodb`.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "persistor",
  }),
  PERSISTOR_WORK_TOPIC: declare({
    doc: "Where functions on a cloud hand jobs to one another, as JSON.",
    schema: destinationSchema.optional(),
    fallback: undefined,
    shown: "none",
    onCloud: { fallback: { broker: "pubsub", topic: "persistor-work" }, shown: '{"broker": "pubsub", "topic": "persistor-work"}' },
    onAzure: {
      fallback: { broker: "service-bus", topic: "persistor-work" },
      shown: '{"broker": "service-bus", "topic": "persistor-work"}',
    },
    json: true,
  }),
  GOOGLE_CLOUD_PROJECT: declare({
    doc: "Project of Pub/Sub and Cloud Storage.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "what the credentials name",
  }),
  PUBSUB_EMULATOR_HOST: declare({
    doc: "`host:port` of an emulator in place of Pub/Sub.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "none",
  }),
  STORAGE_EMULATOR_HOST: declare({
    doc: "URL of a server in place of Cloud Storage.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "none",
  }),
  PERSISTOR_AZURE_STORAGE: declare({
    doc: "Connection string of the storage account of stores of kind `azure-blob`: with a key, a SAS, or `UseDevelopmentStorage=true`. Either this or `PERSISTOR_AZURE_STORAGE__blobServiceUri`.",
    schema: blobConnectionStringSchema.optional(),
    fallback: undefined,
    shown: "none",
    secret: true,
  }),
  PERSISTOR_AZURE_STORAGE__blobServiceUri: declare({
    doc: "URL of that account's blobs, `https://<account>.blob.core.windows.net`, where the process's identity is the credential.",
    schema: blobServiceUriSchema.optional(),
    fallback: undefined,
    shown: "none",
  }),
  PERSISTOR_AZURE_STORAGE__credential: declare({
    doc: "`managedidentity`: an identity of Azure and no other credential.",
    schema: azureIdentitySettings.shape.credential,
    fallback: undefined,
    shown: "what `DefaultAzureCredential` finds",
  }),
  PERSISTOR_AZURE_STORAGE__clientId: declare({
    doc: "Client id of a user-assigned identity.",
    schema: azureIdentitySettings.shape.clientId,
    fallback: undefined,
    shown: "the process's own identity",
  }),
  PERSISTOR_SERVICE_BUS: serviceBus.connectionString,
  PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace: serviceBus.namespace,
  PERSISTOR_SERVICE_BUS__credential: serviceBus.credential,
  PERSISTOR_SERVICE_BUS__clientId: serviceBus.clientId,
  PERSISTOR_SERVICE_BUS_MAX_MESSAGE_BYTES: declare({
    doc: "Largest message that is published to Service Bus: somewhat less than its tier takes.",
    schema: number(1_000, 100_000_000),
    fallback: 250_000,
    shown: "250000",
  }),
  PERSISTOR_EVENT_HUBS: eventHubs.connectionString,
  PERSISTOR_EVENT_HUBS__fullyQualifiedNamespace: eventHubs.namespace,
  PERSISTOR_EVENT_HUBS__credential: eventHubs.credential,
  PERSISTOR_EVENT_HUBS__clientId: eventHubs.clientId,
  PERSISTOR_EVENT_HUBS_MAX_MESSAGE_BYTES: declare({
    doc: "Largest message that is published to Event Hubs: somewhat less than its tier takes.",
    schema: number(1_000, 100_000_000),
    fallback: 1_000_000,
    shown: "1000000",
  }),
  PERSISTOR_PULL_SCHEDULE: declare({
    doc: "When functions on Azure drain the sources whose `binding` is `drain`, as NCRONTAB: second, minute, hour, day, month, day of the week.",
    schema: z.string().regex(/^(?:[\d*/,\-A-Za-z]+ ){5}[\d*/,\-A-Za-z]+$/, "must have six fields of NCRONTAB"),
    fallback: "0 * * * * *",
    shown: "0 * * * * *",
  }),
  PERSISTOR_PULL_SECONDS: declare({
    doc: "How long such a drain takes at most, in seconds; it and a minute more are to lie within host.json's `functionTimeout`. From 1 to 540.",
    schema: number(1, 540),
    fallback: 240,
    shown: "240",
  }),
  PERSISTOR_FUNCTION_AUTH_LEVEL: declare({
    doc: "What Azure asks of a request before a function sees it: `anonymous`, or a key of the function app (`function`, `admin`). `PERSISTOR_AUTH` counts besides.",
    schema: word(["anonymous", "function", "admin"]),
    fallback: "anonymous",
    shown: "anonymous",
  }),
  PERSISTOR_KAFKA_TRIGGER_PASSWORD: declare({
    doc: "The password of `PERSISTOR_KAFKA` once more, for Azure's Kafka trigger, which reads it by itself.",
    schema: z.string().min(1).optional(),
    fallback: undefined,
    shown: "none",
    secret: true,
  }),
  PERSISTOR_AUTH: declare({
    doc: "Who may call what, as JSON: `mode` (`open` or `required`), `apiKeys` (`npm run api-key` makes a key and its entry), and `issuers` of OpenID Connect tokens, each with `issuer`, `audience` and what its `roles` grant.",
    schema: authSchema,
    fallback: OPEN_AUTH,
    shown: '{"mode": "open"}',
    onCloud: { fallback: CLOSED_AUTH, shown: "nobody may do anything" },
    json: true,
    secret: true,
  }),
  PERSISTOR_TRIGGER_AUTH: declare({
    doc: 'Who may call functions that a broker or a scheduler triggers on Google Cloud, as JSON: `{"mode": "required", "audience", "serviceAccounts"}` of their tokens. `{"mode": "open"}` is for functions whose platform checks the callers itself.',
    schema: triggerAuthSchema.optional(),
    fallback: undefined,
    shown: "nobody",
    json: true,
  }),
  PERSISTOR_CURSOR_SECRET: declare({
    doc: "Key that signs paging cursors, at least 32 characters. The local host makes one by default and keeps it in the data folder.",
    schema: z.string().min(32).optional(),
    fallback: undefined,
    shown: "made at the first start",
    onCloud: { fallback: undefined, shown: "none, the APIs need it" },
    secret: true,
  }),
  PERSISTOR_ALLOWED_HOSTS: declare({
    doc: "More names, separated by commas, that the `Host` header of a request may hold.",
    schema: z.string().transform((text) =>
      text
        .split(",")
        .map((host) => host.trim().toLowerCase())
        .filter(Boolean),
    ),
    fallback: [] as string[],
    shown: "only loopback names",
  }),
  PERSISTOR_RETENTION_HOURS: declare({
    doc: "How long the embedded broker keeps messages of topics that no pipeline reads.",
    schema: number(1, 100_000),
    fallback: 168,
    shown: "168",
  }),
  PERSISTOR_LOG_LEVEL: declare({
    doc: "Least level that is logged, as JSON lines on standard error.",
    schema: word(["debug", "info", "warn", "error", "silent"]),
    fallback: "warn",
    shown: "warn",
  }),
} as const;

export type SettingName = keyof typeof DECLARATIONS;
