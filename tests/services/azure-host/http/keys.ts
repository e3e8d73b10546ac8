import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** The keys of the function app. */
export interface HostKeys {
  /** The `_master` key: opens everything, the admin API included. */
  master: string;
  /** A host key (`default`): opens every function but those of level `admin`. */
  host: string;
  /** Keys of single functions, by function name. */
  functions: Readonly<Record<string, string>>;
  /** The system key `eventgrid_extension`, which Event Grid's webhook asks for. */
  eventGrid: string;
}

export type AuthLevel = "anonymous" | "function" | "admin";

const newKey = () => randomBytes(32).toString("base64url");

export const makeKeys = (given: Partial<HostKeys> = {}): HostKeys => ({
  master: newKey(),
  host: newKey(),
  eventGrid: newKey(),
  functions: {},
  ...given,
});

/** The key that a request brings: header `x-functions-key`, or else `?code=`. */
export function keyOf(request: IncomingMessage, query: URLSearchParams): string | undefined {
  const header = request.headers["x-functions-key"];
  return (typeof header === "string" ? header : undefined) ?? query.get("code") ?? undefined;
}

/** azure-functions-host AuthUtility: a key of a higher level opens what a lower one opens. */
export function isAllowed(level: AuthLevel, functionName: string, key: string | undefined, keys: HostKeys): boolean {
  if (level === "anonymous") return true;
  if (key === undefined) return false;
  if (key === keys.master) return true;
  return level === "function" && (key === keys.host || key === keys.functions[functionName]);
}
