import type { LogCategory, LogLevel } from "../rpc.ts";
import { type App, readOnly, send } from "./app.ts";

export interface InvocationLogContext {
  hookData: Record<string, unknown>;
  invocationContext: unknown;
}

export interface LogEntry {
  level: LogLevel;
  message: string;
  logCategory: LogCategory;
  category?: string;
}

/** Sends an entry to the host; the app's log hooks may change one of its own before that (nodejs-worker src/WorkerContext.ts). */
export function logEntry(app: App, entry: LogEntry, invocation?: InvocationLogContext): void {
  const context = readOnly(
    {
      category: () => entry.logCategory,
      hookData: () => invocation?.hookData ?? {},
      appHookData: () => app.appHookData,
      invocationContext: () => invocation?.invocationContext,
    },
    { level: entry.level, message: entry.message },
  );
  let { level, message } = entry;
  try {
    for (const callback of app.hooks.log) callback(context);
    if (entry.logCategory === "user") ({ level, message } = context);
  } catch {
    // A hook that throws keeps no entry from the host.
  }
  send({ kind: "log", level, message, logCategory: entry.logCategory, category: entry.category ?? "" });
}

export const systemLog = (app: App, level: LogLevel, message: string): void => logEntry(app, { level, message, logCategory: "system" });

/** Runs the hooks of this name one after the other. */
export async function runHooks(app: App, name: "preInvocation" | "postInvocation" | "appStart" | "appTerminate", context: unknown) {
  for (const callback of app.hooks[name]) await callback(context);
}
