import { app } from "@azure/functions";
import { errorText } from "../../core/errors.ts";
import { createFunctionProcess, type FunctionProcess } from "../function-process.ts";
import { createLog } from "../log.ts";
import { readSettings, type Settings, SettingsError } from "../settings/settings.ts";

let started: (() => FunctionProcess) | undefined;

/**
 * What this worker process holds: one for all functions of the app. Throws SettingsError, which the platform shows as an entry that could not be
 * loaded.
 */
export function azureProcess(): FunctionProcess {
  started ??= start();
  return started();
}

/** Settings that are wrong are wrong for every entry. */
function start(): () => FunctionProcess {
  try {
    const own = startWith(readSettings(process.env, "azure"));
    return () => own;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    // The platform prints the stack and no more: who reads it is to find what is wrong, and not where that was found.
    error.stack = error.message;
    return () => {
      throw error;
    };
  }
}

function startWith(settings: Settings): FunctionProcess {
  // Without it the lists of a trigger's metadata lose their empty entries, and what stands beside a message belongs to another.
  app.setup({ capabilities: { IncludeEmptyEntriesInMessagePayload: true } });
  const log = createLog({ level: settings.logLevel });
  const { process: own, end } = createFunctionProcess(settings, log);
  app.hook.appTerminate(() => end().catch((error) => log.error("closing the functions failed", { error: errorText(error) })));
  return own;
}
