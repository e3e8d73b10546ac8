/** Named facts beside a log line. Never payloads, never secrets. An `Error` is written with its code, stack and causes. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where events are written. `event` is a constant sentence; what differs stands in `fields`. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log whose lines all carry `fields`. */
  child(fields: LogFields): Log;
}

/** Writes nothing. */
export const NO_LOG: Log = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => NO_LOG,
};
