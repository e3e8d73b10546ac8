import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { GCP_FUNCTIONS } from "./gcp-functions.ts";

// Bundles each function of a cloud apart, with the adapters as chunks that load only where the settings name them.

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FRAMEWORK = "@google-cloud/functions-framework";
/** The same code with its WebAssembly inside, which else lies in a file beside it. */
const IN_THE_BUNDLE = { "@platformatic/wasm-utils": "@platformatic/wasm-utils/bundled" };
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

/** Writes `dist/gcp/<target>/`, ready to be deployed, and says how large each is. */
async function bundleGcp(): Promise<void> {
  const out = join(ROOT, "dist", "gcp");
  rmSync(out, { recursive: true, force: true });
  for (const [target, entry] of Object.entries(GCP_FUNCTIONS)) {
    const folder = join(out, target);
    mkdirSync(folder, { recursive: true });
    await build({
      entryPoints: { index: join(ROOT, entry) },
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node24",
      external: [FRAMEWORK],
      alias: IN_THE_BUNDLE,
      banner: { js: BANNER },
      chunkNames: "chunks/[name]-[hash]",
      minifySyntax: true,
      minifyWhitespace: true,
      legalComments: "none",
      sourcemap: false,
      logLevel: "warning",
    });
    const manifest = {
      name: `persistor-${target}`,
      version: packageJson.version,
      private: true,
      type: "module",
      main: "index.mjs",
      engines: { node: ">=24" },
      dependencies: { [FRAMEWORK]: packageJson.dependencies[FRAMEWORK] },
    };
    writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    console.log(`${target.padEnd(14)} ${kib(join(folder, "index.mjs"))} KiB, with all its chunks ${kib(folder)} KiB`);
  }
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
