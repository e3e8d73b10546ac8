import { glob, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type App, errorOf, readOnly, systemError } from "./app.ts";
import { runHooks, systemLog } from "./log.ts";

const require = createRequire(import.meta.url);
const HAS_MAGIC = /[*?[\]{}!]/;

export async function readPackageJson(appDir: string): Promise<App["packageJson"]> {
  try {
    return JSON.parse(await readFile(join(appDir, "package.json"), "utf8"));
  } catch {
    return {};
  }
}

/**
 * Loads what `main` matches, one file after the other, then runs the `appStart` hooks (nodejs-worker src/startApp.ts).
 * A file that throws keeps the files behind it from being loaded: its stack goes to the console, and with Node 20 or later the app's
 * functions, where any are registered, cannot run.
 */
export async function startApp(app: App): Promise<void> {
  await loadEntryPoints(app);
  const context = readOnly(
    { hookData: () => app.appLevelHookData, appHookData: () => app.appHookData },
    { functionAppDirectory: app.appDir },
  );
  await runHooks(app, "appStart", context);
}

async function loadEntryPoints(app: App): Promise<void> {
  const pattern = app.packageJson.main;
  if (!pattern) return;
  let current = pattern;
  try {
    const files = (await Array.fromAsync(glob(pattern, { cwd: app.appDir }))).sort();
    if (files.length === 0) {
      throw systemError(HAS_MAGIC.test(pattern) ? "Found zero files matching the supplied pattern" : "File does not exist");
    }
    for (const file of files) {
      current = file;
      await loadEntryPoint(app, file);
    }
  } catch (thrown) {
    const error = errorOf(thrown);
    error.message = `Worker was unable to load entry point "${current}": ${error.message}`;
    app.startError = error;
    process.stderr.write(`${error.stack}\n`);
    systemLog(app, "error", error.message);
  }
}

async function loadEntryPoint(app: App, file: string): Promise<void> {
  systemLog(app, "debug", `Loading entry point file "${file}"`);
  const path = join(app.appDir, file);
  app.currentEntryPoint = path;
  try {
    if (isModule(path, app.packageJson.type)) await import(pathToFileURL(path).href);
    else require(path);
  } finally {
    app.currentEntryPoint = undefined;
  }
  systemLog(app, "debug", `Loaded entry point file "${file}"`);
}

function isModule(path: string, type: string | undefined): boolean {
  if (path.endsWith(".mjs")) return true;
  return !path.endsWith(".cjs") && type === "module";
}
