import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DECLARATIONS } from "../../shared/runtime/settings/declarations.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));

/** What a function app on Azure has no use for. */
const ELSEWHERE = new Set([
  ...["PORT", "HOST", "PERSISTOR_DATA_DIR", "PERSISTOR_SAMPLE", "PERSISTOR_ALLOWED_HOSTS", "PERSISTOR_RETENTION_HOURS"],
  ...["GOOGLE_CLOUD_PROJECT", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "PERSISTOR_TRIGGER_AUTH"],
]);

test("the example of local settings names every setting of a function app, and is one that can be read", () => {
  const { Values: values } = read("local.settings.example.json") as { Values: Record<string, string> };
  const ours = Object.keys(DECLARATIONS).filter((name) => !ELSEWHERE.has(name));
  expect(
    Object.keys(values)
      .filter((name) => name.startsWith("PERSISTOR_"))
      .sort(),
  ).toEqual(ours.sort());
  const { pipelines, destinations, workTopic } = readSettings(values, "azure");
  expect(Object.keys(pipelines)).toEqual(["orders", "dead-letter"]);
  expect(destinations).toHaveProperty("replay.topic", "orders-replay");
  expect(workTopic).toMatchObject({ broker: "service-bus", topic: "persistor-work" });
});

test("the host file gives a batch no longer than half of the shortest lock that is recommended, and pins the extensions", () => {
  const { extensions, extensionBundle, functionTimeout } = read("host.json");
  const seconds = (text: string) => text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  expect(seconds(extensions.serviceBus.maxBatchWaitTime)).toBeLessThanOrEqual(30);
  expect(extensions.serviceBus.maxMessageBatchSize).toBeLessThanOrEqual(1_000);
  expect(extensions.serviceBus.minMessageBatchSize).toBeGreaterThan(1);
  expect(extensions.serviceBus.minMessageBatchSize).toBeLessThanOrEqual(extensions.serviceBus.maxMessageBatchSize);
  expect(extensionBundle.version).toMatch(/^\[\d+\.\d+\.\d+, \d+\.\d+\.\d+\)$/);
  expect(seconds(functionTimeout)).toBeGreaterThan(
    Number(readSettings(read("local.settings.example.json").Values, "azure").pullSeconds) + 60,
  );
});
