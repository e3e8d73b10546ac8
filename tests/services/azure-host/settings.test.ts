import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { namespaceOf } from "./amqp/connection-string.ts";
import { createAppSettings } from "./app-settings.ts";
import { reparsed, timeSpanMs } from "./dotnet.ts";
import { readHostJson } from "./host-json.ts";

describe("app settings", () => {
  test("take the place of their names between percent signs, in any case, and a name without one is refused", () => {
    const settings = createAppSettings({ QUEUE: "orders" });
    expect(settings.resolve("a-%queue%-b")).toBe("a-orders-b");
    expect(() => settings.resolve("%OTHER%")).toThrow("resolving '%OTHER%'");
  });

  test("hold a connection under its name, or under AzureWebJobs and its name, or by the identity of the host", () => {
    const settings = createAppSettings(
      { A: "text", AzureWebJobsB: "other", C__fullyQualifiedNamespace: "c.servicebus.windows.net" },
      "token",
    );
    expect(settings.connection("a")).toEqual({ kind: "string", text: "text" });
    expect(settings.connection("B")).toEqual({ kind: "string", text: "other" });
    expect(settings.connection("C")).toEqual({ kind: "identity", fullyQualifiedNamespace: "c.servicebus.windows.net", token: "token" });
    expect(() => settings.connection("D")).toThrow("connecting by 'D'");
    expect(() => createAppSettings({ C__fullyQualifiedNamespace: "c" }).connection("C")).toThrow("no identity");
  });
});

describe("a connection string", () => {
  const string = (text: string) => namespaceOf({ kind: "string", text });

  test("says where to connect and by which key, with TLS unless it is an emulator's", () => {
    expect(string("Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=s=;EntityPath=hub")).toEqual({
      host: "n.servicebus.windows.net",
      port: 5671,
      isTls: true,
      credential: { kind: "key", keyName: "k", key: "s=" },
      entityPath: "hub",
    });
    const emulator = string("Endpoint=sb://127.0.0.1:1234;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true");
    expect(emulator).toMatchObject({ host: "127.0.0.1", port: 1234, isTls: false });
  });

  test("that misses a part is refused without being told", () => {
    expect(() => string("Endpoint=sb://secret.host;SharedAccessKeyName=k")).toThrow(
      /^reading a connection string: 'SharedAccessKey' is missing; set it$/,
    );
  });
});

describe("host.json", () => {
  const read = (json: object, env: Record<string, string> = {}) => {
    const folder = mkdtempSync(join(tmpdir(), "persistor-host-json-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, "host.json"), JSON.stringify(json));
    return readHostJson(folder, env);
  };

  test("is read in any case, and an app setting AzureFunctionsJobHost__ wins over it", async () => {
    const json = { extensions: { ServiceBus: { maxMessageBatchSize: 7, maxBatchWaitTime: "00:00:05.5" } }, functionTimeout: "00:10:00" };
    const env = { AzureFunctionsJobHost__extensions__serviceBus__maxMessageBatchSize: "9" };
    const [plain, overridden] = [await read(json), await read(json, env)];
    expect(plain.extension("serviceBus").number("MaxMessageBatchSize", 1_000)).toBe(7);
    expect(overridden.extension("serviceBus").number("maxMessageBatchSize", 1_000)).toBe(9);
    expect(overridden.extension("serviceBus").timeMs("maxBatchWaitTime", 0)).toBe(5_500);
    expect(plain.functionTimeoutMs).toBe(600_000);
    expect((await read({ functionTimeout: "-1" })).functionTimeoutMs).toBeUndefined();
  });
});

describe("texts of .NET", () => {
  test.each([
    ["00:00:30", 30_000],
    ["1.02:03:04.5", 93_784_500],
    ["00:05", 300_000],
    ["soon", undefined],
    [5, undefined],
  ])("the time span %s has %s ms", (text, ms) => {
    expect(timeSpanMs(text)).toBe(ms);
  });

  test.each([
    ["2026-01-02T03:04:05.1200000Z", "2026-01-02T03:04:05.12Z"],
    ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z"],
    ["2026-01-02T03:04:05", "2026-01-02T03:04:05"],
    ["2026-01-02T03:04:05.5+02:00", "2026-01-02T01:04:05.5+00:00"],
    ["2026-13-02T03:04:05Z", "2026-13-02T03:04:05Z"],
    ["2026-01-02", "2026-01-02"],
  ])("JSON that is parsed and written again has %s as %s", (before, after) => {
    expect(reparsed(JSON.stringify({ at: before }))).toEqual({ at: after });
  });
});
