import { createFunctionProcess, type FunctionProcess } from "../function-process.ts";
import { createLog } from "../log.ts";
import { readSettings } from "../settings/settings.ts";
import { onShutdown } from "./shutdown.ts";
import { runWithoutDomains } from "./without-domains.ts";

/** Reads the settings of this instance and prepares for its end. Throws SettingsError, which the platform shows as a failed start. */
export function startProcess(): FunctionProcess {
  runWithoutDomains();
  const settings = readSettings(process.env, "google");
  const log = createLog({ level: settings.logLevel, form: "google" });
  const { process: started, end } = createFunctionProcess(settings, log);
  onShutdown(end, log);
  return started;
}
