import type { LogLevel } from "./rpc.ts";

const LEVELS: readonly LogLevel[] = ["trace", "debug", "information", "warning", "error", "critical", "none"];
const KEPT_OUTPUT = 200_000;

/** What the host prints: lines `[Level] category: message`. */
export interface HostLog {
  write(level: LogLevel, category: string, message: string): void;
  /** The last 200,000 characters. */
  output(): string;
}

/** `minLevel`: of host.json's `logging.logLevel.default`. */
export function createHostLog(minLevel: LogLevel, onLine?: (line: string) => void): HostLog {
  const least = LEVELS.indexOf(minLevel);
  let kept: string[] = [];
  let length = 0;
  const trim = () => {
    const text = kept.join("").slice(-KEPT_OUTPUT);
    kept = [text];
    length = text.length;
    return text;
  };
  return {
    write(level, category, message) {
      if (LEVELS.indexOf(level) < least) return;
      const line = `[${level.charAt(0).toUpperCase()}${level.slice(1)}] ${category}: ${message}`;
      onLine?.(line);
      kept.push(`${line}\n`);
      length += line.length + 1;
      if (length > 2 * KEPT_OUTPUT) trim();
    },
    output: trim,
  };
}

/** A level of host.json, in any case; undefined where it is none. */
export const logLevelOf = (text: unknown): LogLevel | undefined =>
  LEVELS.find((level) => typeof text === "string" && level === text.toLowerCase());
