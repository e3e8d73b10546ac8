import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DECLARATIONS } from "../../shared/runtime/settings/declarations.ts";
import { readSettings, SettingsError } from "../../shared/runtime/settings/settings.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "persistor-settings-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pipeline = (change: Record<string, unknown> = {}) => ({ source: { topic: "orders" }, store: { name: "local" }, ...change });
const inPipelines = (pipelines: unknown) => ({ PERSISTOR_PIPELINES: JSON.stringify(pipelines) });
const inOrders = (change: Record<string, unknown>) => inPipelines({ orders: pipeline(change) });

/** Writes a file of pipelines; returns its path. */
function pipelinesFile(text: string): string {
  const file = join(folder, `${Math.random()}.json`);
  writeFileSync(file, text);
  return file;
}

function faultsOf(environment: Record<string, string | undefined>): SettingsError["faults"] {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
  return [];
}

const pathsOf = (environment: Record<string, string | undefined>) => faultsOf(environment).map(({ path }) => path);

describe("settings that are not given", () => {
  it("have defaults: the sample's pipelines on the embedded parts, open to this machine alone", () => {
    const settings = readSettings({});
    expect(settings).toMatchObject({
      port: 7071,
      host: "127.0.0.1",
      dataDir: "./data",
      sample: true,
      hasDefaultPipelines: true,
      stores: { local: { kind: "fs" } },
      destinations: undefined,
      auth: { mode: "open", apiKeys: [] },
      cursorSecret: undefined,
      allowedHosts: [],
      adapters: { embedded: { retentionHours: 168 } },
      logLevel: "warn",
    });
    expect(Object.keys(settings.pipelines)).toEqual(["earthquakes", "flights", "dead-letter"]);
    expect(readSettings({ PORT: "", PERSISTOR_PIPELINES: "", PERSISTOR_SAMPLE: "" })).toEqual(settings);
  });

  it("fill up a pipeline", () => {
    expect(readSettings(inOrders({})).pipelines).toEqual({
      orders: {
        source: { broker: "embedded", topic: "orders", subscription: "persistor" },
        store: { name: "local", prefix: "", path: "{topic}/{year}/{month}/{day}/{hour}", format: "avro", codec: "zstandard" },
        batch: { maxMessages: 5_000, maxBytes: 8_000_000, maxWaitMs: 10_000, triggerMaxWaitMs: 250, maxMessageBytes: 16_000_000 },
      },
    });
    const { index, deadLetter } = readSettings(inOrders({ index: { collection: "c" }, deadLetter: {} })).pipelines.orders ?? {};
    const broker = "embedded";
    expect([index, deadLetter]).toEqual([
      { broker, topic: "persistor-index", collection: "c" },
      { broker, topic: "persistor-dead-letter" },
    ]);
  });

  it("do not come from variables that are others' business", () => {
    expect(readSettings({ PATH: "/bin", NODE_ENV: "test", persistor_sample: "x", MY_PERSISTOR_X: "1" })).toEqual(readSettings({}));
  });
});

describe("settings that are given", () => {
  it("are taken from each variable", () => {
    const key = { id: "reader", sha256: "a".repeat(64), grants: { read: ["orders*"] } };
    const settings = readSettings({
      PORT: "0",
      HOST: "::1",
      PERSISTOR_DATA_DIR: "/data",
      PERSISTOR_SAMPLE: "off",
      PERSISTOR_STORES: '{"lake": {"kind": "fs", "dir": "/lake"}}',
      ...inPipelines({ orders: pipeline({ store: { name: "lake" } }) }),
      PERSISTOR_DESTINATIONS: '{"replay": {"broker": "embedded", "topic": "orders-replay"}}',
      PERSISTOR_AUTH: JSON.stringify({ mode: "required", apiKeys: [key] }),
      PERSISTOR_CURSOR_SECRET: "s".repeat(32),
      PERSISTOR_ALLOWED_HOSTS: " Box:8080 , ,persistor.internal",
      PERSISTOR_RETENTION_HOURS: "1",
      PERSISTOR_LOG_LEVEL: "debug",
    });
    expect(settings).toMatchObject({
      port: 0,
      host: "::1",
      dataDir: "/data",
      sample: false,
      hasDefaultPipelines: false,
      stores: { lake: { kind: "fs", dir: "/lake" } },
      pipelines: { orders: { store: { name: "lake" } } },
      destinations: { replay: { broker: "embedded", topic: "orders-replay" } },
      auth: { mode: "required", apiKeys: [{ ...key, grants: { read: ["orders*"], publish: [], admin: false } }] },
      cursorSecret: "s".repeat(32),
      allowedHosts: ["box:8080", "persistor.internal"],
      adapters: { embedded: { retentionHours: 1 } },
      logLevel: "debug",
    });
  });

  it("may hold the pipelines in a file", () => {
    const file = pipelinesFile(JSON.stringify({ orders: pipeline() }));
    const settings = readSettings({ PERSISTOR_PIPELINES_FILE: file });
    expect([Object.keys(settings.pipelines), settings.hasDefaultPipelines]).toEqual([["orders"], false]);
  });
});

describe("the pipeline of dead letters", () => {
  const topicOf = (name: string, environment: Record<string, string>) => readSettings(environment).pipelines[name]?.source.topic;

  it("is added for each dead-letter topic that no pipeline reads, once, without a dead-letter topic of its own, and takes what was too large", () => {
    const { pipelines } = readSettings(
      inPipelines({
        a: pipeline({ source: { topic: "a" }, deadLetter: {} }),
        b: pipeline({ source: { topic: "b" }, deadLetter: {} }),
        c: pipeline({ source: { topic: "c" }, deadLetter: { topic: "c-letters" } }),
      }),
    );
    expect(Object.keys(pipelines)).toEqual(["a", "b", "c", "dead-letter", "c-letters"]);
    expect(pipelines["dead-letter"]).toMatchObject({
      source: { topic: "persistor-dead-letter" },
      index: { collection: "dead-letter" },
      batch: { maxMessageBytes: 64_000_000 },
    });
    expect(pipelines["c-letters"]).toMatchObject({ source: { topic: "c-letters" }, index: { collection: "c-letters" } });
    expect(pipelines["dead-letter"]?.deadLetter).toBeUndefined();
  });

  it("is left to the settings where they have one", () => {
    const own = pipeline({ source: { topic: "persistor-dead-letter" }, index: { collection: "letters" } });
    const environment = inPipelines({ orders: pipeline({ deadLetter: {} }), "my-letters": own });
    expect(Object.keys(readSettings(environment).pipelines)).toEqual(["orders", "my-letters"]);
    expect(topicOf("my-letters", environment)).toBe("persistor-dead-letter");
  });

  it("lies in the pipeline's own store where there is no store local", () => {
    const named = {
      PERSISTOR_STORES: '{"lake": {"kind": "fs"}}',
      ...inPipelines({ a: pipeline({ store: { name: "lake" }, deadLetter: {} }) }),
    };
    expect(readSettings(named).pipelines["dead-letter"]?.store).toMatchObject({ name: "lake" });
    const inline = { PERSISTOR_STORES: "{}", ...inPipelines({ a: pipeline({ store: { kind: "fs", dir: "/lake" }, deadLetter: {} }) }) };
    expect(readSettings(inline).pipelines["dead-letter"]?.store).toMatchObject({ kind: "fs", dir: "/lake" });
  });

  it("never takes the place of a pipeline of the same name, and never has a name that none may have", () => {
    expect(pathsOf(inPipelines({ "dead-letter": pipeline({ deadLetter: {} }) }))).toEqual([
      "PERSISTOR_PIPELINES.dead-letter.deadLetter.topic",
    ]);
    expect(pathsOf(inOrders({ deadLetter: { topic: "dead~letters" } }))).toEqual(["PERSISTOR_PIPELINES.orders.deadLetter.topic"]);
    expect(pathsOf(inOrders({ deadLetter: { topic: "x".repeat(200) } }))).toEqual(["PERSISTOR_PIPELINES.orders.deadLetter.topic"]);
  });

  it("has no dead-letter topic itself", () => {
    const letters = pipeline({ source: { topic: "persistor-dead-letter" }, deadLetter: { topic: "more" } });
    expect(pathsOf(inPipelines({ orders: pipeline({ deadLetter: {} }), letters }))).toEqual(["PERSISTOR_PIPELINES.letters.deadLetter"]);
  });
});

describe("settings that are wrong", () => {
  it.each<[string, Record<string, string>]>([
    ["PORT", { PORT: "65536" }],
    ["PORT", { PORT: "-1" }],
    ["PORT", { PORT: "7071 " }],
    ["PORT", { PORT: "0x10" }],
    ["PERSISTOR_SAMPLE", { PERSISTOR_SAMPLE: "yes" }],
    ["PERSISTOR_RETENTION_HOURS", { PERSISTOR_RETENTION_HOURS: "0" }],
    ["PERSISTOR_LOG_LEVEL", { PERSISTOR_LOG_LEVEL: "loud" }],
    ["PERSISTOR_CURSOR_SECRET", { PERSISTOR_CURSOR_SECRET: "short" }],
    ["PERSISTOR_PIPELINES", { PERSISTOR_PIPELINES: "{" }],
    ["PERSISTOR_PIPELINES", { PERSISTOR_PIPELINES: "[]" }],
    ["PERSISTOR_PIPELINES", { PERSISTOR_PIPELINES: "null" }],
    ["PERSISTOR_PIPELINES", { PERSISTOR_PIPELINES: "{}" }],
    ["PERSISTOR_PIPELINES", { PERSISTOR_PIPELINES: `{"__proto__": ${JSON.stringify(pipeline())}}` }],
    ["PERSISTOR_PIPELINES.a b", inPipelines({ "a b": pipeline() })],
    ["PERSISTOR_PIPELINES.orders.source", inPipelines({ orders: { store: { name: "local" } } })],
    ["PERSISTOR_PIPELINES.orders.source.topic", inOrders({ source: {} })],
    ["PERSISTOR_PIPELINES.orders.source.topic", inOrders({ source: { topic: "../x" } })],
    ["PERSISTOR_PIPELINES.orders.source.broker", inOrders({ source: { topic: "a", broker: "rabbit" } })],
    ["PERSISTOR_PIPELINES.orders.source", inOrders({ source: { topic: "a", group: "g" } })],
    ["PERSISTOR_PIPELINES.orders", inOrders({ sink: {} })],
    ["PERSISTOR_PIPELINES.orders.store.name", inOrders({ store: {} })],
    ["PERSISTOR_PIPELINES.orders.store.name", inOrders({ store: { name: "local", kind: "fs" } })],
    ["PERSISTOR_PIPELINES.orders.store.name", inOrders({ store: { name: "lake" } })],
    ["PERSISTOR_PIPELINES.orders.store.name", inOrders({ store: { name: "constructor" } })],
    ["PERSISTOR_PIPELINES.orders.store.prefix", inOrders({ store: { name: "local", prefix: "../x" } })],
    ["PERSISTOR_PIPELINES.orders.store.prefix", inOrders({ store: { name: "local", prefix: "/x" } })],
    ["PERSISTOR_PIPELINES.orders.store.extension", inOrders({ store: { name: "local", extension: "a/b" } })],
    ["PERSISTOR_PIPELINES.orders.store.path", inOrders({ store: { name: "local", path: "{colour}" } })],
    ["PERSISTOR_PIPELINES.orders.store.path", inOrders({ store: { name: "local", path: "a//b" } })],
    ["PERSISTOR_PIPELINES.orders.store.path", inOrders({ store: { name: "local", path: "../{topic}" } })],
    ["PERSISTOR_PIPELINES.orders.store.codec", inOrders({ store: { name: "local", codec: "snappy" } })],
    ["PERSISTOR_PIPELINES.orders.batch.maxMessages", inOrders({ batch: { maxMessages: 0 } })],
    ["PERSISTOR_PIPELINES.orders.batch.maxBytes", inOrders({ batch: { maxBytes: "8MB" } })],
    ["PERSISTOR_PIPELINES.orders.index.collection", inOrders({ index: {} })],
    ["PERSISTOR_PIPELINES.orders.index.topic", inOrders({ index: { topic: "orders", collection: "c" } })],
    ["PERSISTOR_PIPELINES.orders.deadLetter.topic", inOrders({ deadLetter: { topic: "orders" } })],
    ["PERSISTOR_PIPELINES.b.source", inPipelines({ a: pipeline(), b: pipeline() })],
    ["PERSISTOR_STORES.lake.kind", { PERSISTOR_STORES: '{"lake": {"kind": "s3"}}' }],
    ["PERSISTOR_DESTINATIONS.replay.topic", { PERSISTOR_DESTINATIONS: '{"replay": {"broker": "embedded"}}' }],
    ["PERSISTOR_AUTH.mode", { PERSISTOR_AUTH: "{}" }],
    ["PERSISTOR_AUTH.apiKeys.0.sha256", { PERSISTOR_AUTH: '{"mode": "required", "apiKeys": [{"id": "a", "sha256": "b"}]}' }],
    ["PERSISTOR_NONSENSE", { PERSISTOR_NONSENSE: "1" }],
    ["PERSISTOR_PIPELINE", { PERSISTOR_PIPELINE: "1" }],
    ["PERSISTOR_", { PERSISTOR_: "" }],
  ])("are refused naming %s: %j", (path, environment) => {
    const faults = faultsOf(environment);
    expect(faults.map((fault) => fault.path)).toEqual([path]);
    expect(faults[0]?.message).toMatch(/\S/);
  });

  it("in a file are refused naming the file's variable, as are a file that is missing, and both at once", () => {
    const inFile = (text: string) => pathsOf({ PERSISTOR_PIPELINES_FILE: pipelinesFile(text) });
    expect(pathsOf({ PERSISTOR_PIPELINES_FILE: join(folder, "none.json") })).toEqual(["PERSISTOR_PIPELINES_FILE"]);
    expect(inFile("{")).toEqual(["PERSISTOR_PIPELINES_FILE"]);
    expect(inFile(JSON.stringify({ orders: pipeline({ source: {} }) }))).toEqual(["PERSISTOR_PIPELINES_FILE.orders.source.topic"]);
    expect(inFile(JSON.stringify({ orders: pipeline({ store: { name: "lake" } }) }))).toEqual([
      "PERSISTOR_PIPELINES_FILE.orders.store.name",
    ]);
    const file = pipelinesFile(JSON.stringify({ orders: pipeline() }));
    expect(pathsOf({ PERSISTOR_PIPELINES_FILE: file, ...inOrders({}) })).toEqual(["PERSISTOR_PIPELINES_FILE"]);
  });

  it("are all told at once, in one text", () => {
    const environment = {
      PORT: "x",
      PERSISTOR_WRONG: "1",
      PERSISTOR_SAMPLE: "x",
      PERSISTOR_STORES: "[",
      ...inPipelines({ a: { source: {}, store: {} }, b: pipeline({ batch: { maxBytes: 1, maxMessages: -1 } }) }),
    };
    const paths = pathsOf(environment);
    expect(paths.sort()).toEqual([
      "PERSISTOR_PIPELINES.a.source.topic",
      "PERSISTOR_PIPELINES.a.store.name",
      "PERSISTOR_PIPELINES.b.batch.maxBytes",
      "PERSISTOR_PIPELINES.b.batch.maxMessages",
      "PERSISTOR_SAMPLE",
      "PERSISTOR_STORES",
      "PERSISTOR_WRONG",
      "PORT",
    ]);
    expect(() => readSettings(environment)).toThrow(/^reading the settings: 8 problems\n( {2}\S+: .+\n){7} {2}\S+: .+$/);
    const together = inPipelines({ a: pipeline({ store: { name: "x", path: "{x}" } }), b: pipeline({ store: { name: "y" } }) });
    expect(pathsOf(together)).toHaveLength(4);
    expect(() => readSettings({ PORT: "x" })).toThrow(/^reading the settings: one problem\n {2}PORT: /);
  });

  it("name the settings that there are where one is unknown", () => {
    const [fault] = faultsOf({ PERSISTOR_PIPELNES: "{}" });
    for (const name of Object.keys(DECLARATIONS)) expect(fault?.message).toContain(name);
  });

  it("never show a secret", () => {
    const SECRET = "Sesame-open-93";
    const secrets: Record<string, string>[] = [
      { PERSISTOR_AUTH: `{"mode": "${SECRET}"}` },
      { PERSISTOR_AUTH: `{"mode": "required", "apiKeys": [{"id": "${SECRET} ", "sha256": "${SECRET}"}]}` },
      { PERSISTOR_AUTH: `{"mode": "required", "apiKeys": "${SECRET}"}` },
      { PERSISTOR_AUTH: `{"mode": "required" ${SECRET}}` },
      { PERSISTOR_AUTH: `"${SECRET}"` },
      { PERSISTOR_AUTH: SECRET },
      { PERSISTOR_CURSOR_SECRET: SECRET },
      { PERSISTOR_TYPO_SECRET: SECRET },
    ];
    for (const environment of secrets) {
      const faults = faultsOf(environment);
      expect(faults.length).toBeGreaterThan(0);
      expect(JSON.stringify(faults)).not.toContain("Sesame");
    }
  });

  it("of whatever JSON throw nothing but SettingsError, whose every fault names a variable", () => {
    const names = Object.keys(DECLARATIONS).filter((name) => name !== "PERSISTOR_PIPELINES_FILE");
    const text = fc.oneof(fc.json(), fc.string(), fc.constantFrom("{}", "[]", "null", '"x"', "{", "0", "on"));
    const word = fc.oneof(
      fc.constantFrom(
        "orders",
        "a",
        "local",
        "fs",
        "embedded",
        "persistor-index",
        "constructor",
        "dead-letter",
        "dead~letters",
        "~",
        "../x",
      ),
      fc.string(),
    );
    const optional = <T>(value: fc.Arbitrary<T>) =>
      fc.option(fc.oneof({ weight: 9, arbitrary: value as fc.Arbitrary<unknown> }, fc.jsonValue()), { nil: undefined });
    const anyPipeline = fc.record({
      source: optional(fc.record({ topic: optional(word), subscription: optional(word), id: optional(word) })),
      store: optional(fc.record({ name: optional(word), kind: optional(word), path: optional(word), prefix: optional(word) })),
      batch: optional(fc.record({ maxMessages: optional(fc.integer()) })),
      index: optional(fc.record({ topic: optional(word), collection: optional(word) })),
      deadLetter: optional(fc.record({ topic: optional(word) })),
    });
    const pipelines = fc.dictionary(word, anyPipeline, { maxKeys: 4 }).map((value) => JSON.stringify(value));
    const environment = fc.record({ name: fc.constantFrom(...names), text, pipelines: fc.option(pipelines, { nil: undefined }) });
    fc.assert(
      fc.property(environment, ({ name, text: value, pipelines: given }) => {
        for (const { path } of faultsOf({ [name]: value, ...(given && { PERSISTOR_PIPELINES: given }) }))
          expect(path).toMatch(/^(PORT|HOST|PERSISTOR_)/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("settings of functions on a cloud", () => {
  const gcp = (change: Record<string, unknown> = {}) => ({
    source: { broker: "pubsub", topic: "orders" },
    store: { kind: "gcs", bucket: "lake" },
    ...change,
  });

  it("must name pipelines, and grant nothing unless told", () => {
    expect(() => readSettings({}, "google")).toThrow(/PERSISTOR_PIPELINES: must be set/);
    expect(readSettings(inPipelines({ orders: gcp() }), "google")).toMatchObject({
      auth: { mode: "required", apiKeys: [] },
      triggerAuth: undefined,
      destinations: {},
      stores: {},
      index: "mongodb",
      workTopic: { broker: "pubsub", topic: "persistor-work" },
    });
  });

  it("refuse the parts of one machine", () => {
    const environment = { ...inPipelines({ orders: { source: { topic: "orders" }, store: { kind: "fs" } } }), PERSISTOR_INDEX: "sqlite" };
    expect(() => readSettings(environment, "google")).toThrow(
      /orders.source.broker: is for the local host[\s\S]*orders.store.kind[\s\S]*PERSISTOR_INDEX/,
    );
  });

  it("name a subscription after its topic, which must be unique in a project", () => {
    const { pipelines } = readSettings(inPipelines({ orders: gcp({ deadLetter: {} }) }), "google");
    expect(pipelines.orders?.source.subscription).toBe("orders-persistor");
    expect(pipelines["dead-letter"]?.source).toMatchObject({ broker: "pubsub", subscription: "persistor-dead-letter-persistor" });
  });

  it("let a consumer group be called $Default, and nothing else that begins so", () => {
    const source = (subscription: string) => ({ source: { broker: "event-hubs", topic: "orders", subscription } });
    const connections = {
      PERSISTOR_EVENT_HUBS: "Endpoint=sb://example/;SharedAccessKeyName=a;SharedAccessKey=b",
      PERSISTOR_AZURE_STORAGE: "UseDevelopmentStorage=true",
    };
    const read = (subscription: string) =>
      readSettings({ ...inPipelines({ orders: gcp(source(subscription)) }), ...connections }, "google").pipelines.orders;
    expect(read("$Default")?.source.subscription).toBe("$Default");
    expect(() => read("$others")).toThrow(/orders.source.subscription: must be a subscription's name/);
  });

  it("store dead letters beside the pipeline's objects, and index them where the pipeline is indexed", () => {
    const read = (change: Record<string, unknown>) =>
      readSettings(inPipelines({ orders: gcp({ deadLetter: {}, ...change }) }), "google").pipelines["dead-letter"];
    expect(read({})).toMatchObject({ store: { kind: "gcs", bucket: "lake" }, index: undefined });
    expect(read({ index: { topic: "t", collection: "orders" } })).toMatchObject({ index: { topic: "t", collection: "dead-letter" } });
  });

  it("hand each adapter what concerns it", () => {
    const { adapters } = readSettings(
      {
        ...inPipelines({ orders: gcp() }),
        GOOGLE_CLOUD_PROJECT: "p",
        PUBSUB_EMULATOR_HOST: "127.0.0.1:1",
        STORAGE_EMULATOR_HOST: "http://127.0.0.1:2",
        PERSISTOR_MONGODB_URI: "mongodb://127.0.0.1:3",
      },
      "google",
    );
    expect(adapters).toMatchObject({
      pubsub: { projectId: "p", emulatorHost: "127.0.0.1:1" },
      gcs: { projectId: "p", emulatorUrl: "http://127.0.0.1:2" },
      mongodb: { uri: "mongodb://127.0.0.1:3" },
    });
  });

  it("say which field a store's kind lacks, and which belongs to another kind", () => {
    const inStore = (store: Record<string, unknown>) => faultsOf(inPipelines({ orders: gcp({ store }) }));
    expect(inStore({ kind: "gcs" })).toEqual([
      { path: "PERSISTOR_PIPELINES.orders.store.bucket", message: "must be set for a store of kind gcs" },
    ]);
    expect(inStore({ kind: "fs", bucket: "lake" })).toEqual([
      { path: "PERSISTOR_PIPELINES.orders.store.bucket", message: "is no setting of a store of kind fs" },
    ]);
    expect(inStore({ name: "local", bucket: "lake" })).toEqual([
      { path: "PERSISTOR_PIPELINES.orders.store.bucket", message: "belongs to a store's kind; set it in PERSISTOR_STORES" },
    ]);
    expect(inStore({ kind: "gcs", bucket: "gs://lake" })[0]?.message).toMatch(/without gs:/);
    expect(faultsOf({ PERSISTOR_STORES: '{"lake": {"kind": "gcs"}}' }).map(({ path }) => path)).toEqual(["PERSISTOR_STORES.lake.bucket"]);
  });

  it("take triggers' tokens by audience and service accounts", () => {
    const environment = {
      ...inPipelines({ orders: gcp() }),
      PERSISTOR_TRIGGER_AUTH: '{"mode": "required", "audience": "a", "serviceAccounts": ["a@b.example"]}',
    };
    expect(readSettings(environment, "google").triggerAuth).toMatchObject({ issuer: "https://accounts.google.com", audience: "a" });
    const faults = faultsOf({ ...environment, PERSISTOR_TRIGGER_AUTH: '{"mode": "required", "serviceAccounts": []}' });
    expect(faults.map(({ path }) => path)).toEqual(["PERSISTOR_TRIGGER_AUTH.audience", "PERSISTOR_TRIGGER_AUTH.serviceAccounts"]);
  });
});

describe("settings of Azure Storage", () => {
  const KEY = "U2VzYW1lLW9wZW4tOTM=";
  const BY_KEY = `DefaultEndpointsProtocol=https;AccountName=lake;AccountKey=${KEY};EndpointSuffix=core.windows.net`;
  const URI = "https://lake.blob.core.windows.net";
  const store = { kind: "azure-blob", container: "lake" };
  const inBlobs = inPipelines({ orders: pipeline({ store }) });

  it("are a connection string, or a URL and an identity, by the names that Azure Functions give a connection", () => {
    expect(readSettings({ ...inBlobs, PERSISTOR_AZURE_STORAGE: BY_KEY }).adapters["azure-blob"]).toEqual({ connectionString: BY_KEY });
    const byIdentity = {
      PERSISTOR_AZURE_STORAGE__blobServiceUri: URI,
      PERSISTOR_AZURE_STORAGE__credential: "managedidentity",
      PERSISTOR_AZURE_STORAGE__clientId: "c",
    };
    expect(readSettings({ ...inBlobs, ...byIdentity }).adapters["azure-blob"]).toEqual({
      blobServiceUri: URI,
      credential: "managedidentity",
      clientId: "c",
    });
    expect(readSettings({ ...inBlobs, PERSISTOR_AZURE_STORAGE__blobServiceUri: URI }).pipelines.orders?.store).toMatchObject(store);
  });

  it.each([
    BY_KEY,
    `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${KEY};BlobEndpoint=http://127.0.0.1:10000/a;`,
    "UseDevelopmentStorage=true",
    "BlobEndpoint=https://lake.blob.core.windows.net/;SharedAccessSignature=sv=2024-11-04&ss=b&sig=x%3D",
  ])("take the connection string %s", (text) => {
    expect(pathsOf({ ...inBlobs, PERSISTOR_AZURE_STORAGE: text })).toEqual([]);
  });

  it.each([
    KEY,
    "AccountName=lake",
    `AccountName=lake;AccountKey=${KEY}`,
    `SharedAccessSignature=sig=${KEY}`,
    `BlobEndpoint=lake;SharedAccessSignature=${KEY}`,
  ])("refuse %s as connection string, and show none of it", (text) => {
    const faults = faultsOf({ ...inBlobs, PERSISTOR_AZURE_STORAGE: text });
    expect(faults.map(({ path }) => path)).toEqual(["PERSISTOR_AZURE_STORAGE"]);
    expect(JSON.stringify(faults)).not.toContain(KEY);
  });

  it("must be there where anything uses them", () => {
    const message = "must be set, or PERSISTOR_AZURE_STORAGE__blobServiceUri: pipeline orders use Azure Blob Storage";
    expect(faultsOf(inBlobs)).toEqual([{ path: "PERSISTOR_AZURE_STORAGE", message }]);
    expect(faultsOf({ ...inBlobs, PERSISTOR_AZURE_STORAGE: "" })).toEqual([{ path: "PERSISTOR_AZURE_STORAGE", message }]);
    const stores = { PERSISTOR_STORES: JSON.stringify({ lake: store, local: { kind: "fs" } }) };
    expect(faultsOf(stores)[0]?.message).toContain("store lake use");
  });

  it("are refused where they are told twice, or half", () => {
    const both = { ...inBlobs, PERSISTOR_AZURE_STORAGE: BY_KEY, PERSISTOR_AZURE_STORAGE__blobServiceUri: URI };
    expect(faultsOf(both)[0]?.message).toMatch(/set together with PERSISTOR_AZURE_STORAGE__blobServiceUri/);
    const withClient = { ...inBlobs, PERSISTOR_AZURE_STORAGE: BY_KEY, PERSISTOR_AZURE_STORAGE__clientId: "c" };
    expect(pathsOf(withClient)).toEqual(["PERSISTOR_AZURE_STORAGE__clientId"]);
    const wrong = { PERSISTOR_AZURE_STORAGE__blobServiceUri: "http://lake", PERSISTOR_AZURE_STORAGE__credential: "key" };
    expect(pathsOf({ ...inBlobs, ...wrong }).sort()).toEqual(Object.keys(wrong).sort());
    expect(pathsOf({ PERSISTOR_AZURE_STORAGE__accountName: "lake" })).toEqual(["PERSISTOR_AZURE_STORAGE__accountName"]);
  });

  it("of a store are its container, by the rules for its name", () => {
    const inStore = (change: Record<string, unknown>) =>
      faultsOf({ ...inPipelines({ orders: pipeline({ store: { kind: "azure-blob", ...change } }) }), PERSISTOR_AZURE_STORAGE: BY_KEY });
    const path = "PERSISTOR_PIPELINES.orders.store.container";
    expect(inStore({})).toEqual([{ path, message: "must be set for a store of kind azure-blob" }]);
    for (const container of ["Lake", "la", "la--ke", "lake-", "l".repeat(64)]) expect(inStore({ container })[0]?.path).toBe(path);
    expect(inStore({ container: "lake", bucket: "lake" })[0]?.path).toBe("PERSISTOR_PIPELINES.orders.store.bucket");
    expect(inStore({ container: "raw-data-2" })).toEqual([]);
  });
});

describe("settings of Kafka", () => {
  const KAFKA = '{"brokers": ["127.0.0.1:9092"]}';
  const kafka = (change: Record<string, unknown> = {}) => ({
    source: { broker: "kafka", topic: "orders" },
    store: { name: "local" },
    ...change,
  });
  const pathsOf = (environment: Record<string, string>) => faultsOf(environment).map(({ path }) => path);

  it("must name the cluster where anything uses it", () => {
    expect(faultsOf(inPipelines({ orders: kafka() }))).toEqual([
      { path: "PERSISTOR_KAFKA", message: "must be set: pipeline orders use Kafka" },
    ]);
    expect(pathsOf({ PERSISTOR_DESTINATIONS: '{"replay": {"broker": "kafka", "topic": "t"}}' })).toEqual(["PERSISTOR_KAFKA"]);
    const index = { broker: "kafka", collection: "orders" };
    expect(pathsOf(inPipelines({ orders: { ...kafka({ index }), source: { topic: "orders" } } }))).toEqual(["PERSISTOR_KAFKA"]);
  });

  it("put index records and dead letters on this machine, or where they are told; on a cloud where the messages are, but for index records that nothing would be called for", () => {
    const environment = {
      ...inPipelines({ orders: kafka({ index: { collection: "orders" }, deadLetter: { broker: "kafka" } }) }),
      PERSISTOR_KAFKA: KAFKA,
    };
    const { orders, "dead-letter": letters } = readSettings(environment).pipelines;
    expect([orders?.index?.broker, orders?.deadLetter?.broker, letters?.source.broker, letters?.index?.broker]).toEqual([
      "embedded",
      "kafka",
      "kafka",
      "embedded",
    ]);
    const store = { kind: "gcs", bucket: "lake" };
    const onCloud = { ...inPipelines({ orders: kafka({ store, index: { collection: "orders" } }) }), PERSISTOR_KAFKA: KAFKA };
    expect(() => readSettings(onCloud, "google")).toThrow(/orders\.index\.broker: must be a broker that triggers functions on Google/);
    const indexed = inPipelines({ orders: kafka({ store, index: { broker: "pubsub", collection: "orders" }, deadLetter: {} }) });
    const google = readSettings({ ...indexed, PERSISTOR_KAFKA: KAFKA }, "google").pipelines["orders"];
    expect([google?.index?.broker, google?.deadLetter?.broker]).toEqual(["pubsub", "kafka"]);
    const embedded = inPipelines({ orders: kafka({ store, index: { broker: "embedded", collection: "orders" } }) });
    expect(() => readSettings({ ...embedded, PERSISTOR_KAFKA: KAFKA }, "google")).toThrow(/orders\.index\.broker: is for the local host/);
  });

  it("take what concerns Kafka alone for sources and destinations of Kafka alone", () => {
    const source = { broker: "kafka", topic: "_orders", start: "2026-01-02T03:04:05Z", isolation: "uncommitted", sessionTimeoutMs: 6000 };
    const environment = { ...inPipelines({ orders: kafka({ source }) }), PERSISTOR_KAFKA: KAFKA };
    expect(readSettings(environment).pipelines["orders"]?.source).toMatchObject(source);
    for (const [field, value] of [
      ["start", "yesterday"],
      ["isolation", "none"],
      ["sessionTimeoutMs", 10],
    ])
      expect(
        pathsOf({ ...inPipelines({ orders: kafka({ source: { ...source, [field as string]: value } }) }), PERSISTOR_KAFKA: KAFKA }),
      ).toContain(`PERSISTOR_PIPELINES.orders.source.${field}`);
    expect(faultsOf(inPipelines({ orders: { source: { topic: "orders", start: "latest" }, store: { name: "local" } } }))).toEqual([
      { path: "PERSISTOR_PIPELINES.orders.source.start", message: "is no setting of a source of kind embedded" },
    ]);
    expect(pathsOf({ PERSISTOR_DESTINATIONS: '{"r": {"broker": "embedded", "topic": "t", "keep": ["partition"]}}' })).toEqual([
      "PERSISTOR_DESTINATIONS.r.keep",
    ]);
  });

  it("tell topics of one name at two brokers apart", () => {
    const both = {
      here: { source: { topic: "orders", subscription: "s" }, store: { name: "local" } },
      there: kafka({ source: { broker: "kafka", topic: "orders", subscription: "s" } }),
    };
    expect(Object.keys(readSettings({ ...inPipelines(both), PERSISTOR_KAFKA: KAFKA }).pipelines)).toEqual(["here", "there"]);
    const index = { broker: "kafka", topic: "orders", collection: "orders" };
    expect(pathsOf({ ...inPipelines({ orders: kafka({ index }) }), PERSISTOR_KAFKA: KAFKA })).toEqual([
      "PERSISTOR_PIPELINES.orders.index.topic",
    ]);
  });

  it.each([
    ["brokers", {}],
    ["brokers.0", { brokers: ["kafka"] }],
    ["sasl.password", { brokers: ["k:1"], sasl: { mechanism: "PLAIN", username: "u" } }],
    ["sasl.mechanism", { brokers: ["k:1"], sasl: { mechanism: "GSSAPI" } }],
    ["sasl.oauth", { brokers: ["k:1"], sasl: { mechanism: "OAUTHBEARER" } }],
    ["compression", { brokers: ["k:1"], compression: "brotli" }],
  ])("say that %s is wrong, and show none of it", (path, value) => {
    const faults = faultsOf({ PERSISTOR_KAFKA: JSON.stringify(value) });
    expect(faults.map((fault) => fault.path)).toEqual([`PERSISTOR_KAFKA.${path}`]);
    expect(JSON.stringify(faults)).not.toMatch(/brotli|GSSAPI/);
  });
});
