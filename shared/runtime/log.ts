import { type DestinationStream, destination, type Logger, pino, stdSerializers, stdTimeFunctions } from "pino";
import type { Log, LogFields } from "../core/ports/log.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LogOptions {
  /** Least level that is written. */
  level: LogLevel;
  /** How lines name their level and event; `google`: as Cloud Logging reads them. Default `plain`. */
  form?: "plain" | "google";
  /** Where the lines go; default: standard error, written at once, so that a crash loses none. */
  stream?: DestinationStream;
}

const STANDARD_ERROR = 2;

/** Names of fields whose values are secrets wherever they stand at the top of a line, or one level down. */
const SECRET_FIELDS: readonly string[] = [
  "authorization",
  "apiKey",
  "apiKeys",
  "password",
  "secret",
  "token",
  "cursorSecret",
  "connectionString",
];
const SECRET_PATHS = [...SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), '["x-api-key"]', '*["x-api-key"]'];

/** An API key of ours that got into a text. */
const API_KEY = /psk_([A-Za-z0-9-]+)_[A-Za-z0-9_-]{43}/g;

/** Cloud Logging's names of the levels (https://cloud.google.com/logging/docs/structured-logging). */
const SEVERITIES: Readonly<Record<string, string>> = { debug: "DEBUG", info: "INFO", warn: "WARNING", error: "ERROR" };

/** JSON lines, one event each: `{"level", "time", "event", …fields}`, or `{"severity", "time", "message", …fields}`. */
export function createLog({ level, stream, form = "plain" }: LogOptions): Log {
  const isGoogle = form === "google";
  const logger = pino(
    {
      level,
      base: null,
      messageKey: isGoogle ? "message" : "event",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => (isGoogle ? { severity: SEVERITIES[label] } : { level: label }) },
      serializers: { error: errorOf, cause: errorOf },
      redact: { paths: SECRET_PATHS, censor: "(secret)" },
      hooks: { streamWrite: (line) => (line.includes("psk_") ? line.replace(API_KEY, "psk_$1_(secret)") : line) },
    },
    stream ?? destination({ fd: STANDARD_ERROR, sync: true }),
  );
  return wrapped(logger);
}

function wrapped(logger: Logger): Log {
  return {
    info: (event, fields) => logger.info(fields ?? {}, event),
    warn: (event, fields) => logger.warn(fields ?? {}, event),
    error: (event, fields) => logger.error(fields ?? {}, event),
    child: (fields: LogFields) => wrapped(logger.child(fields)),
  };
}

function errorOf(value: unknown): unknown {
  return value instanceof Error ? stdSerializers.errWithCause(value) : value;
}
