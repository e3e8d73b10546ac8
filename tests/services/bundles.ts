import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCES = ["functions", "shared", "scripts/bundle.ts", "host.json", "package-lock.json"];
const BUNDLED = join(ROOT, "dist", "azure", "package.json");
const LOCK = join(ROOT, "dist", "bundling");
const LOCK_STALE_MS = 120_000;

/** Makes the bundles of the functions where they are older than their sources; processes that ask at the same time wait for one another. */
export async function ensureBundles(): Promise<void> {
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  while (!lock()) await sleep(100);
  try {
    const isFresh = existsSync(BUNDLED) && SOURCES.every((source) => newest(join(ROOT, source)) < statSync(BUNDLED).mtimeMs);
    if (!isFresh)
      execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", join(ROOT, "scripts", "bundle.ts")], { stdio: "pipe" });
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

function lock(): boolean {
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    if (Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > LOCK_STALE_MS)
      rmSync(LOCK, { recursive: true, force: true });
    return false;
  }
}

function newest(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}
