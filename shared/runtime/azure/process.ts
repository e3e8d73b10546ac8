import { app } from "@azure/functions";
import { errorText } from "../../core/errors.ts";
import { createFunctionProcess, type FunctionProcess } from "../function-process.ts";
import { createLog } from "../log.ts";
import { readSettings } from "../settings/settings.ts";

let started: FunctionProcess | undefined;

/**
 * What this worker process holds: one for all functions of the app. Throws SettingsError, which the platform shows as an entry that could not be
 * loaded.
 */
export function azureProcess(): FunctionProcess {
  started ??= start();
  return started;
}

function start(): FunctionProcess {
  const settings = readSettings(process.env, "azure");
  // Without it the lists of a trigger's metadata lose their empty entries, and what stands beside a message belongs to another.
  app.setup({ capabilities: { IncludeEmptyEntriesInMessagePayload: true } });
  const log = createLog({ level: settings.logLevel });
  const { process: own, end } = createFunctionProcess(settings, log);
  app.hook.appTerminate(() => end().catch((error) => log.error("closing the functions failed", { error: errorText(error) })));
  return own;
}
