import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";
import { AZURE_ENTRIES } from "./azure-functions.ts";
import { GCP_FUNCTIONS } from "./gcp-functions.ts";

// Bundles each function of a cloud apart, with the adapters as chunks that load only where the settings name them.

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FRAMEWORK = "@google-cloud/functions-framework";
/** Given by the worker. */
const CORE = "@azure/functions-core";
const ALIASES = {
  // The same code with its WebAssembly inside, which else lies in a file beside it.
  "@platformatic/wasm-utils": "@platformatic/wasm-utils/bundled",
  // Once, in the form that `@azure/functions` takes: the two forms of it do not know each other's factories.
  "@azure/functions-extensions-base": createRequire(import.meta.url).resolve("@azure/functions-extensions-base"),
};
/** Packages in CommonJS ask for these. */
const BANNER = `import { createRequire as __createRequire } from "node:module";
import { fileURLToPath as __fileURLToPath } from "node:url";
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL(".", import.meta.url));`;

const packageJson = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  version: string;
  dependencies: Record<string, string>;
};

/** What all bundles are made with. */
const COMMON: BuildOptions = {
  bundle: true,
  splitting: true,
  format: "esm",
  outExtension: { ".js": ".mjs" },
  platform: "node",
  target: "node24",
  alias: ALIASES,
  banner: { js: BANNER },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  sourcemap: false,
  logLevel: "warning",
};

/** Writes `dist/gcp/<target>/`, ready to be deployed, and says how large each is. */
async function bundleGcp(): Promise<void> {
  const out = join(ROOT, "dist", "gcp");
  rmSync(out, { recursive: true, force: true });
  for (const [target, entry] of Object.entries(GCP_FUNCTIONS)) {
    const folder = join(out, target);
    mkdirSync(folder, { recursive: true });
    await build({
      ...COMMON,
      entryPoints: { index: join(ROOT, entry) },
      outdir: folder,
      external: [FRAMEWORK],
      chunkNames: "chunks/[name]-[hash]",
    });
    writeManifest(folder, `persistor-${target}`, "index.mjs", { [FRAMEWORK]: packageJson.dependencies[FRAMEWORK] as string });
    console.log(`${target.padEnd(14)} ${kib(join(folder, "index.mjs"))} KiB, with all its chunks ${kib(folder)} KiB`);
  }
}

/** Writes `dist/azure/`, one function app ready to be deployed, and says how large it is. */
async function bundleAzure(): Promise<void> {
  const out = join(ROOT, "dist", "azure");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const entryPoints = Object.fromEntries(AZURE_ENTRIES.map((entry) => [nameOf(entry), join(ROOT, entry)]));
  // The platform loads every file of functions/ in each worker: the chunks lie beside it.
  await build({
    ...COMMON,
    entryPoints,
    outdir: out,
    external: [CORE],
    entryNames: "functions/[name]",
    chunkNames: "chunks/[name]-[hash]",
  });
  copyFileSync(join(ROOT, "host.json"), join(out, "host.json"));
  writeManifest(out, "persistor-azure", "functions/*.mjs", {});
  console.log(`${"azure".padEnd(14)} ${kib(join(out, "functions"))} KiB, with all its chunks ${kib(out)} KiB`);
}

/** `functions/persist/azure-kafka.ts` → `persist-kafka`. */
function nameOf(entry: string): string {
  const [, step, file] = entry.split("/") as [string, string, string];
  return `${step}-${file.replace(/^azure-|\.ts$/g, "")}`;
}

function writeManifest(folder: string, name: string, main: string, dependencies: Record<string, string>): void {
  const manifest = { name, version: packageJson.version, private: true, type: "module", main, engines: { node: ">=24" }, dependencies };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

function kib(path: string): number {
  return Math.round(bytesOf(path) / 1024);
}

function bytesOf(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

await bundleGcp();
await bundleAzure();
