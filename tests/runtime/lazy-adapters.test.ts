import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);
/** Packages that only an adapter in use may load. */
const HEAVY = [
  "@platformatic/kafka",
  "@azure/event-hubs",
  "@azure/service-bus",
  "@azure/storage-blob",
  "@azure/identity",
  "@google-cloud/pubsub",
  "@google-cloud/storage",
  "mongodb",
  "google-gax",
];

/** Names of the packages that a module loads with itself. */
function packagesOf(module: string): string[] {
  const script = `
    const { registerHooks } = await import("node:module");
    const loaded = new Set();
    registerHooks({ load(url, context, next) { loaded.add(url); return next(url, context); } });
    await import(${JSON.stringify(new URL(module, ROOT).href)});
    console.log(JSON.stringify([...loaded].filter((url) => url.includes("/node_modules/"))));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: fileURLToPath(ROOT), encoding: "utf8" });
  const urls = JSON.parse(output) as string[];
  return HEAVY.filter((name) => urls.some((url) => url.includes(`/node_modules/${name}/`)));
}

it.each(["shared/adapters/registry.ts", "shared/runtime/settings/settings.ts", "shared/runtime/ports.ts", "shared/runtime/local/host.ts"])(
  "%s loads no broker's, store's or database's client",
  (module) => {
    expect(packagesOf(module)).toEqual([]);
  },
);

it("an adapter's module does", () => {
  expect(packagesOf("shared/adapters/brokers/kafka/adapter.ts")).toEqual(["@platformatic/kafka"]);
  expect(packagesOf("shared/adapters/stores/azure-blob/adapter.ts")).toEqual(["@azure/storage-blob"]);
});
