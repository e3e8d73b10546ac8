import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { type AzureHost, type AzureHostOptions, startAzureHost } from "./host.ts";

const NODE_MODULES = fileURLToPath(new URL("../../../node_modules", import.meta.url));

export interface AppFiles {
  /** By path in the app's folder; `main.cjs` is the entry unless `main` says otherwise. */
  files?: Readonly<Record<string, string>>;
  /** Code of `main.cjs`, behind `const { app, trigger, output } = require("@azure/functions")`. */
  code?: string;
  main?: string;
  hostJson?: object;
}

const HEAD = 'const { app, trigger, output } = require("@azure/functions");\n';

/** Writes a function app into a folder of its own, which is removed at the test's end. */
export function writeApp({ files = {}, code, main = "main.cjs", hostJson = {} }: AppFiles): string {
  const folder = mkdtempSync(join(tmpdir(), "persistor-azure-app-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync(NODE_MODULES, join(folder, "node_modules"));
  const all = {
    "host.json": JSON.stringify({ version: "2.0", ...hostJson }),
    "package.json": JSON.stringify({ name: "app", version: "1.0.0", main }),
    ...(code !== undefined && { "main.cjs": HEAD + code }),
    ...files,
  };
  for (const [path, content] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** Starts a host with an app of these files; it is stopped at the test's end. */
export async function startApp(app: AppFiles, options: Partial<AzureHostOptions> = {}): Promise<AzureHost> {
  const host = await startAzureHost({ appDir: writeApp(app), env: {}, ...options });
  onTestFinished(() => host.stop());
  return host;
}

/** What an app told by `tell(value)`, in order: it goes through the log as JSON. */
export const told = (host: AzureHost): unknown[] =>
  host
    .output()
    .split("\n")
    .flatMap((line) => (line.includes("TOLD ") ? [JSON.parse(line.slice(line.indexOf("TOLD ") + 5))] : []));

/** Code of an app's `tell`, which writes Buffers as `{hex}`. */
export const TELL = `
const plain = (value) =>
  Buffer.isBuffer(value) ? { hex: value.toString("hex") }
  : Array.isArray(value) ? value.map(plain)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
  : value === undefined ? { undefined: true }
  : value;
const tell = (value) => process.stdout.write("TOLD " + JSON.stringify(plain(value)) + "\\n");
`;

/** Polls until `isTrue` holds, for 30 s at most. */
export async function until(isTrue: () => boolean | Promise<boolean>, what: () => string = () => ""): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`waiting in a test: it did not happen in 30 s. ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
