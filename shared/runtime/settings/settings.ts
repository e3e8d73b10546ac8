import { readFileSync } from "node:fs";
import type { z } from "zod";
import type { AdapterSettings } from "../../adapters/registry.ts";
import { errorText, type InputFault, PersistorError } from "../../core/errors.ts";
import { azureConnectionFaults, brokerUsers, functionNameFaults, kafkaTriggerFaults } from "./azure-checks.ts";
import { faultsTogether, localParts, missingKafka, pushingFaults, slashFaults, untriggeredFaults } from "./checks.ts";
import { DECLARATIONS, type Declaration, type SettingName } from "./declarations.ts";
import { type PipelineSettings, pipelinesSchema, withBrokers, withDeadLetterPipelines } from "./pipelines.ts";

type Values = { [K in SettingName]: (typeof DECLARATIONS)[K] extends Declaration<infer T> ? T : never };

/** All settings, validated. */
export interface Settings {
  port: number;
  host: string;
  dataDir: string;
  sample: boolean;
  /** With a pipeline for each dead-letter topic. */
  pipelines: Readonly<Record<string, PipelineSettings>>;
  hasDefaultPipelines: boolean;
  stores: Values["PERSISTOR_STORES"];
  /** Undefined: any topic of the embedded broker. */
  destinations: Values["PERSISTOR_DESTINATIONS"];
  index: Values["PERSISTOR_INDEX"];
  /** What each adapter of a broker, a store or an index is opened with, besides what pipelines say, by its name. */
  adapters: Readonly<Record<string, AdapterSettings>>;
  /** Undefined: a host drives its jobs itself. */
  workTopic: Values["PERSISTOR_WORK_TOPIC"];
  /** When sources are drained by a timer: NCRONTAB with six fields. */
  pullSchedule: string;
  /** For how long at most. */
  pullSeconds: number;
  /** What Azure asks of a request before a function sees it. */
  functionAuthLevel: Values["PERSISTOR_FUNCTION_AUTH_LEVEL"];
  /** Undefined: nobody may trigger. */
  triggerAuth: Values["PERSISTOR_TRIGGER_AUTH"];
  auth: Values["PERSISTOR_AUTH"];
  cursorSecret: string | undefined;
  allowedHosts: readonly string[];
  logLevel: Values["PERSISTOR_LOG_LEVEL"];
}

/** Settings are wrong; `faults` holds all problems, each with the variable's name. */
export class SettingsError extends PersistorError {
  readonly faults: readonly InputFault[];
  constructor(faults: readonly InputFault[]) {
    const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
    super(
      "settings_invalid",
      `reading the settings: ${faults.length === 1 ? "one problem" : `${faults.length} problems`}\n${lines.join("\n")}`,
    );
    this.faults = faults;
  }
}

const OWN_PREFIX = "PERSISTOR_";

/** Where the settings are for: it decides on what holds where a variable is not set. */
export type HostKind = "local" | "google" | "azure";

/** Reads all settings from environment variables. Throws SettingsError with every problem at once. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>, host: HostKind = "local"): Settings {
  const faults: InputFault[] = unknownNames(environment);
  const values = {} as Record<SettingName, unknown>;
  for (const name of Object.keys(DECLARATIONS) as SettingName[]) values[name] = readOne(name, environment[name], host, faults);
  const read = values as Values;
  const fromFile = read.PERSISTOR_PIPELINES_FILE === undefined ? undefined : readPipelinesFile(read.PERSISTOR_PIPELINES_FILE, faults);
  if (fromFile && environment.PERSISTOR_PIPELINES)
    faults.push({ path: "PERSISTOR_PIPELINES_FILE", message: "is set together with PERSISTOR_PIPELINES; set one of them" });
  // On one machine what goes beside the messages stays there: nothing has to be made at another broker first.
  const pipelines = withBrokers(fromFile ?? read.PERSISTOR_PIPELINES, host === "local" ? "embedded" : undefined);
  const variable = fromFile ? "PERSISTOR_PIPELINES_FILE" : "PERSISTOR_PIPELINES";
  if (faults.length === 0 && Object.keys(pipelines).length === 0)
    faults.push({ path: variable, message: "must be set: name at least one pipeline" });
  faults.push(...missingKafka(read.PERSISTOR_KAFKA !== undefined, brokerUsers("kafka", pipelines, read)));
  faults.push(...azureConnectionFaults((name) => Boolean(environment[name]), pipelines, read));
  if (host !== "local") {
    faults.push(...localParts(variable, pipelines, read.PERSISTOR_STORES, read.PERSISTOR_INDEX));
    faults.push(...untriggeredFaults(variable, pipelines, read.PERSISTOR_WORK_TOPIC, host));
  }
  if (host === "azure" && read.PERSISTOR_KAFKA) {
    const hasPassword = read.PERSISTOR_KAFKA_TRIGGER_PASSWORD !== undefined;
    faults.push(...kafkaTriggerFaults(variable, pipelines, read.PERSISTOR_WORK_TOPIC, read.PERSISTOR_KAFKA, hasPassword));
  }
  faults.push(...pushingFaults(variable, pipelines, host === "azure"));
  faults.push(...slashFaults(variable, pipelines, read.PERSISTOR_DESTINATIONS ?? {}, read.PERSISTOR_WORK_TOPIC));
  if (faults.length === 0) faults.push(...faultsTogether(variable, pipelines, read.PERSISTOR_STORES));
  if (faults.length > 0) throw new SettingsError(faults);
  const whole = withDeadLetterPipelines(pipelines, read.PERSISTOR_STORES);
  if (host === "azure") faults.push(...functionNameFaults(variable, Object.keys(whole)));
  if (faults.length > 0) throw new SettingsError(faults);
  return {
    port: read.PORT,
    host: read.HOST,
    dataDir: read.PERSISTOR_DATA_DIR,
    sample: read.PERSISTOR_SAMPLE === "on",
    pipelines: whole,
    hasDefaultPipelines: !fromFile && !environment.PERSISTOR_PIPELINES,
    stores: read.PERSISTOR_STORES,
    destinations: read.PERSISTOR_DESTINATIONS,
    index: read.PERSISTOR_INDEX,
    adapters: adapterSettings(read),
    workTopic: read.PERSISTOR_WORK_TOPIC,
    pullSchedule: read.PERSISTOR_PULL_SCHEDULE,
    pullSeconds: read.PERSISTOR_PULL_SECONDS,
    functionAuthLevel: read.PERSISTOR_FUNCTION_AUTH_LEVEL,
    triggerAuth: read.PERSISTOR_TRIGGER_AUTH,
    auth: read.PERSISTOR_AUTH,
    cursorSecret: read.PERSISTOR_CURSOR_SECRET,
    allowedHosts: read.PERSISTOR_ALLOWED_HOSTS,
    logLevel: read.PERSISTOR_LOG_LEVEL,
  };
}

function adapterSettings(read: Values): Settings["adapters"] {
  const projectId = read.GOOGLE_CLOUD_PROJECT;
  const storage = {
    connectionString: read.PERSISTOR_AZURE_STORAGE,
    blobServiceUri: read.PERSISTOR_AZURE_STORAGE__blobServiceUri,
    credential: read.PERSISTOR_AZURE_STORAGE__credential,
    clientId: read.PERSISTOR_AZURE_STORAGE__clientId,
  };
  return {
    embedded: { retentionHours: read.PERSISTOR_RETENTION_HOURS },
    pubsub: { projectId, emulatorHost: read.PUBSUB_EMULATOR_HOST },
    gcs: { projectId, emulatorUrl: read.STORAGE_EMULATOR_HOST },
    kafka: read.PERSISTOR_KAFKA ?? {},
    "service-bus": {
      connectionString: read.PERSISTOR_SERVICE_BUS,
      fullyQualifiedNamespace: read.PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace,
      credential: read.PERSISTOR_SERVICE_BUS__credential,
      clientId: read.PERSISTOR_SERVICE_BUS__clientId,
      maxMessageBytes: read.PERSISTOR_SERVICE_BUS_MAX_MESSAGE_BYTES,
    },
    "event-hubs": {
      connectionString: read.PERSISTOR_EVENT_HUBS,
      fullyQualifiedNamespace: read.PERSISTOR_EVENT_HUBS__fullyQualifiedNamespace,
      credential: read.PERSISTOR_EVENT_HUBS__credential,
      clientId: read.PERSISTOR_EVENT_HUBS__clientId,
      maxMessageBytes: read.PERSISTOR_EVENT_HUBS_MAX_MESSAGE_BYTES,
      storage,
    },
    "azure-blob": storage,
    mongodb: { uri: read.PERSISTOR_MONGODB_URI, database: read.PERSISTOR_MONGODB_DATABASE },
  };
}

function unknownNames(environment: Readonly<Record<string, string | undefined>>): InputFault[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(OWN_PREFIX) && !(name in DECLARATIONS))
    .map((path) => ({ path, message: `is no setting; the settings are ${Object.keys(DECLARATIONS).join(", ")}` }));
}

function readOne(name: SettingName, text: string | undefined, host: HostKind, faults: InputFault[]): unknown {
  const declaration: Declaration = DECLARATIONS[name];
  const { fallback } = (host === "azure" && declaration.onAzure) || (host !== "local" && declaration.onCloud) || declaration;
  if (text === undefined || text === "") return fallback;
  let value: unknown = text;
  if (declaration.json) {
    try {
      value = JSON.parse(text);
    } catch (error) {
      faults.push({ path: name, message: declaration.secret ? "is not JSON" : `is not JSON: ${errorText(error)}` });
      return fallback;
    }
  }
  return validated(name, declaration.schema, value, faults) ?? fallback;
}

function validated<T>(name: string, schema: z.ZodType<T>, value: unknown, faults: InputFault[]): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const { path, message } of result.error.issues) faults.push({ path: [name, ...path.map(String)].join("."), message });
  return undefined;
}

function readPipelinesFile(file: string, faults: InputFault[]): Values["PERSISTOR_PIPELINES"] | undefined {
  try {
    return validated("PERSISTOR_PIPELINES_FILE", pipelinesSchema, JSON.parse(readFileSync(file, "utf8")), faults);
  } catch (error) {
    faults.push({ path: "PERSISTOR_PIPELINES_FILE", message: `cannot be read: ${errorText(error)}` });
    return undefined;
  }
}
