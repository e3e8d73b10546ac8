import { readFileSync } from "node:fs";
import type { z } from "zod";
import type { AdapterSettings } from "../../adapters/registry.ts";
import { errorText, type InputFault, PersistorError } from "../../core/errors.ts";
import { parsePathMask } from "../../core/object-name.ts";
import { DECLARATIONS, type Declaration, type SettingName } from "./declarations.ts";
import { nameSchema } from "./names.ts";
import { deadLetterPipelineName, type PipelineSettings, pipelinesSchema, withDeadLetterPipelines } from "./pipelines.ts";

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
export type HostKind = "local" | "cloud";

/** Reads all settings from environment variables. Throws SettingsError with every problem at once. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>, host: HostKind = "local"): Settings {
  const faults: InputFault[] = unknownNames(environment);
  const values = {} as Record<SettingName, unknown>;
  for (const name of Object.keys(DECLARATIONS) as SettingName[]) values[name] = readOne(name, environment[name], host, faults);
  const read = values as Values;
  const fromFile = read.PERSISTOR_PIPELINES_FILE === undefined ? undefined : readPipelinesFile(read.PERSISTOR_PIPELINES_FILE, faults);
  if (fromFile && environment.PERSISTOR_PIPELINES)
    faults.push({ path: "PERSISTOR_PIPELINES_FILE", message: "is set together with PERSISTOR_PIPELINES; set one of them" });
  const pipelines = fromFile ?? read.PERSISTOR_PIPELINES;
  const variable = fromFile ? "PERSISTOR_PIPELINES_FILE" : "PERSISTOR_PIPELINES";
  if (faults.length === 0 && Object.keys(pipelines).length === 0)
    faults.push({ path: variable, message: "must be set: name at least one pipeline" });
  if (host === "cloud") faults.push(...localParts(variable, pipelines, read));
  if (faults.length === 0) faults.push(...faultsTogether(variable, pipelines, read.PERSISTOR_STORES));
  if (faults.length > 0) throw new SettingsError(faults);
  return {
    port: read.PORT,
    host: read.HOST,
    dataDir: read.PERSISTOR_DATA_DIR,
    sample: read.PERSISTOR_SAMPLE === "on",
    pipelines: withDeadLetterPipelines(pipelines, read.PERSISTOR_STORES),
    hasDefaultPipelines: !fromFile && !environment.PERSISTOR_PIPELINES,
    stores: read.PERSISTOR_STORES,
    destinations: read.PERSISTOR_DESTINATIONS,
    index: read.PERSISTOR_INDEX,
    adapters: adapterSettings(read),
    workTopic: read.PERSISTOR_WORK_TOPIC,
    triggerAuth: read.PERSISTOR_TRIGGER_AUTH,
    auth: read.PERSISTOR_AUTH,
    cursorSecret: read.PERSISTOR_CURSOR_SECRET,
    allowedHosts: read.PERSISTOR_ALLOWED_HOSTS,
    logLevel: read.PERSISTOR_LOG_LEVEL,
  };
}

function adapterSettings(read: Values): Settings["adapters"] {
  const projectId = read.GOOGLE_CLOUD_PROJECT;
  return {
    embedded: { retentionHours: read.PERSISTOR_RETENTION_HOURS },
    pubsub: { projectId, emulatorHost: read.PUBSUB_EMULATOR_HOST },
    gcs: { projectId, emulatorUrl: read.STORAGE_EMULATOR_HOST },
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
  const fallback = host === "cloud" && declaration.onCloud ? declaration.onCloud.fallback : declaration.fallback;
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

function readPipelinesFile(file: string, faults: InputFault[]): Record<string, PipelineSettings> | undefined {
  try {
    return validated("PERSISTOR_PIPELINES_FILE", pipelinesSchema, JSON.parse(readFileSync(file, "utf8")), faults);
  } catch (error) {
    faults.push({ path: "PERSISTOR_PIPELINES_FILE", message: `cannot be read: ${errorText(error)}` });
    return undefined;
  }
}

type Pipelines = Readonly<Record<string, PipelineSettings>>;

/** The parts of one machine keep what they hold in its memory and on its disk, which a function loses. */
function* localParts(variable: string, pipelines: Pipelines, read: Values): Generator<InputFault> {
  const message = "is for the local host: a function keeps no disk";
  for (const [name, { source, store }] of Object.entries(pipelines)) {
    if (source.broker === "embedded") yield { path: `${variable}.${name}.source.broker`, message };
    if (store.kind === "fs") yield { path: `${variable}.${name}.store.kind`, message };
  }
  for (const [name, { kind }] of Object.entries(read.PERSISTOR_STORES)) {
    if (kind === "fs") yield { path: `PERSISTOR_STORES.${name}.kind`, message };
  }
  if (read.PERSISTOR_INDEX === "sqlite") yield { path: "PERSISTOR_INDEX", message };
}

/** What only shows when the pipelines, stores and masks are seen together; `variable` is the one that holds the pipelines. */
function* faultsTogether(variable: string, pipelines: Pipelines, stores: Values["PERSISTOR_STORES"]): Generator<InputFault> {
  const readers = new Map<string, string>();
  const indexTopics = new Set(Object.values(pipelines).map(({ index }) => index?.topic));
  for (const [name, { source, store, index }] of Object.entries(pipelines)) {
    const at = `${variable}.${name}`;
    if (store.name !== undefined && !Object.hasOwn(stores, store.name)) {
      yield { path: `${at}.store.name`, message: `names no store of PERSISTOR_STORES (${Object.keys(stores).join(", ")})` };
    }
    const maskFault = faultOfMask(store.path);
    if (maskFault !== undefined) yield { path: `${at}.store.path`, message: maskFault };
    const reader = `${source.topic} by ${source.subscription}`;
    const other = readers.get(reader);
    if (other !== undefined)
      yield { path: `${at}.source`, message: `reads ${reader}, as pipeline ${other} does; give one another subscription` };
    readers.set(reader, name);
    if (index?.topic === source.topic) yield { path: `${at}.index.topic`, message: "is the topic that the pipeline reads" };
    else if (indexTopics.has(source.topic)) yield { path: `${at}.source.topic`, message: "is a topic that carries index records" };
    yield* deadLetterFaults(at, name, pipelines);
  }
}

function* deadLetterFaults(at: string, name: string, pipelines: Pipelines): Generator<InputFault> {
  const { source, deadLetter } = pipelines[name] as PipelineSettings;
  if (!deadLetter) return;
  const path = `${at}.deadLetter.topic`;
  const all = Object.values(pipelines);
  if (deadLetter.topic === source.topic) yield { path, message: "is the topic that the pipeline reads" };
  else if (all.some((other) => other.deadLetter?.topic === source.topic))
    yield {
      path: `${at}.deadLetter`,
      message: "must not be set: the pipeline stores dead letters itself, and releases what it cannot store",
    };
  if (all.some((other) => other.source.topic === deadLetter.topic)) return;
  const added = deadLetterPipelineName(deadLetter.topic);
  const remedy = `let a pipeline read ${deadLetter.topic}, or rename`;
  if (Object.hasOwn(pipelines, added))
    yield { path, message: `would be stored by a pipeline ${added}, but another has that name; ${remedy}` };
  else if (!nameSchema.safeParse(added).success) yield { path, message: `cannot name the pipeline that would store it; ${remedy}` };
}

function faultOfMask(path: string): string | undefined {
  try {
    parsePathMask(path);
  } catch (error) {
    return errorText(error);
  }
}
