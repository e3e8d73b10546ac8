import { describe, expect, it } from "vitest";
import { readSettings, type SettingsError } from "../../shared/runtime/settings/settings.ts";

const NAMESPACE = "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=c2VjcmV0";
const CONNECTIONS = {
  PERSISTOR_SERVICE_BUS: NAMESPACE,
  PERSISTOR_EVENT_HUBS: NAMESPACE,
  PERSISTOR_AZURE_STORAGE: "UseDevelopmentStorage=true",
};

const pipeline = (source: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  source: { topic: "orders", ...source },
  store: { kind: "azure-blob", container: "lake" },
  ...more,
});
const environmentOf = (pipelines: Record<string, unknown>, more: Record<string, string | undefined> = CONNECTIONS) => ({
  PERSISTOR_PIPELINES: JSON.stringify(pipelines),
  ...more,
});
const faultsOf = (environment: Record<string, string | undefined>): string[] => {
  try {
    readSettings(environment, "azure");
  } catch (error) {
    return (error as SettingsError).faults.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
};
const fromServiceBus = {
  orders: pipeline({ broker: "service-bus", subscription: "archive" }, { index: { collection: "orders" }, deadLetter: {} }),
};

describe("settings of a function app on Azure", () => {
  it("keep what goes beside the messages at the source's broker, and hand jobs over by Service Bus", () => {
    const { pipelines, workTopic, adapters, pullSeconds } = readSettings(environmentOf(fromServiceBus), "azure");
    expect(pipelines["orders"]).toMatchObject({ index: { broker: "service-bus" }, deadLetter: { broker: "service-bus" } });
    expect(pipelines["dead-letter"]?.source).toMatchObject({ broker: "service-bus", subscription: "persistor-dead-letter-persistor" });
    expect(workTopic).toMatchObject({ broker: "service-bus", topic: "persistor-work" });
    expect(adapters["service-bus"]).toMatchObject({ connectionString: NAMESPACE, maxMessageBytes: 250_000 });
    expect(adapters["event-hubs"]).toMatchObject({
      connectionString: NAMESPACE,
      storage: { connectionString: "UseDevelopmentStorage=true" },
    });
    expect(pullSeconds).toBe(240);
  });

  it("take an identity in place of a connection string, by the names that the platform reads too", () => {
    const identity = {
      PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace: "example.servicebus.windows.net",
      PERSISTOR_SERVICE_BUS__credential: "managedidentity",
      PERSISTOR_SERVICE_BUS__clientId: "11111111-2222-3333-4444-555555555555",
      PERSISTOR_AZURE_STORAGE__blobServiceUri: "https://example.blob.core.windows.net",
    };
    const { adapters } = readSettings(environmentOf(fromServiceBus, identity), "azure");
    expect(adapters["service-bus"]).toMatchObject({
      connectionString: undefined,
      fullyQualifiedNamespace: "example.servicebus.windows.net",
      credential: "managedidentity",
    });
  });

  it("name each connection that is missing, told twice, or told in half", () => {
    expect(faultsOf(environmentOf(fromServiceBus, {}))).toEqual([
      expect.stringMatching(/^PERSISTOR_AZURE_STORAGE: must be set, .*pipeline orders/),
      expect.stringMatching(/^PERSISTOR_SERVICE_BUS: must be set, or PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace: pipeline orders/),
    ]);
    const twice = { ...CONNECTIONS, PERSISTOR_EVENT_HUBS__fullyQualifiedNamespace: "example" };
    expect(faultsOf(environmentOf(fromServiceBus, twice))).toEqual([expect.stringMatching(/^PERSISTOR_EVENT_HUBS: is set together with/)]);
    const half = { ...CONNECTIONS, PERSISTOR_SERVICE_BUS__clientId: "id" };
    expect(faultsOf(environmentOf(fromServiceBus, half))).toEqual([
      expect.stringMatching(/^PERSISTOR_SERVICE_BUS__clientId: is of no use/),
    ]);
    const hub = { orders: pipeline({ broker: "event-hubs" }, { store: { kind: "gcs", bucket: "lake" } }) };
    expect(faultsOf(environmentOf(hub, { PERSISTOR_EVENT_HUBS: NAMESPACE }))).toEqual([
      expect.stringMatching(/^PERSISTOR_AZURE_STORAGE: must be set/),
      expect.stringMatching(/^PERSISTOR_SERVICE_BUS: must be set, .*: PERSISTOR_WORK_TOPIC use Service Bus/),
    ]);
  });

  it("never show a connection string", () => {
    const wrong = { ...CONNECTIONS, PERSISTOR_SERVICE_BUS: "c2VjcmV0", PERSISTOR_AZURE_STORAGE: "AccountKey=c2VjcmV0" };
    const faults = faultsOf(environmentOf(fromServiceBus, wrong));
    expect(faults).toHaveLength(2);
    expect(faults.join()).not.toContain("c2VjcmV0");
  });

  it("tell each kind of source what it may be told", () => {
    const of = (source: Record<string, unknown>) => faultsOf(environmentOf({ orders: pipeline(source) }));
    expect(of({ broker: "service-bus", entity: "queue", sessions: true, binding: "drain" })).toEqual([]);
    expect(of({ broker: "service-bus", deadLetterQueue: true, binding: "classic" })).toEqual([]);
    expect(of({ broker: "event-hubs", subscription: "$Default", start: "latest", binding: "classic" })).toEqual([]);
    expect(of({ broker: "event-hubs", binding: "sdk" })).toEqual([expect.stringContaining("orders.source.binding")]);
    expect(of({ broker: "event-hubs", entity: "queue" })).toEqual([
      expect.stringMatching(/source\.entity: is no setting of a source of kind event-hubs/),
    ]);
    expect(of({ broker: "service-bus", binding: "push" })).toEqual([expect.stringContaining("orders.source.binding")]);
  });

  it("tell each broker what it takes at most, and which destinations keep what", () => {
    const more = { ...CONNECTIONS, PERSISTOR_SERVICE_BUS_MAX_MESSAGE_BYTES: "5000000", PERSISTOR_EVENT_HUBS_MAX_MESSAGE_BYTES: "200000" };
    const { adapters } = readSettings(environmentOf(fromServiceBus, more), "azure");
    expect(adapters["service-bus"]).toMatchObject({ maxMessageBytes: 5_000_000 });
    expect(adapters["event-hubs"]).toMatchObject({ maxMessageBytes: 200_000 });
    const to = (broker: string, own: object) =>
      faultsOf(
        environmentOf(fromServiceBus, {
          ...CONNECTIONS,
          PERSISTOR_DESTINATIONS: JSON.stringify({ again: { broker, topic: "again", ...own } }),
        }),
      );
    expect(to("event-hubs", { keep: ["partition"] })).toEqual([]);
    expect(to("service-bus", { keep: ["partition"] })).toEqual([expect.stringMatching(/again\.keep: is no setting of a destination/)]);
    expect(to("event-hubs", { keep: ["timestamp"] })).toEqual([expect.stringContaining("again.keep")]);
    expect(to("event-grid", {})).toEqual([expect.stringContaining("again.broker")]);
  });

  it("let Event Grid push to functions on Azure alone, with its records at a broker that takes them", () => {
    const beside = { index: { broker: "service-bus", collection: "orders" }, deadLetter: { broker: "service-bus" } };
    expect(faultsOf(environmentOf({ orders: pipeline({ broker: "event-grid" }, beside) }))).toEqual([]);
    expect(faultsOf(environmentOf({ orders: pipeline({ broker: "event-grid" }, { index: { collection: "orders" } }) }))).toEqual([
      "PERSISTOR_PIPELINES.orders.index.broker: must be set: event-grid takes no messages",
    ]);
    const elsewhere = environmentOf({ orders: pipeline({ broker: "event-grid" }, beside) });
    expect(() => readSettings(elsewhere, "google")).toThrow(/orders\.source\.broker: is for functions on Azure/);
    expect(() => readSettings({ ...elsewhere, PERSISTOR_INDEX: "sqlite" }, "local")).toThrow(
      /orders\.source\.broker: is for functions on Azure/,
    );
  });

  it("refuse index topics and work topics that trigger nothing on Azure", () => {
    const google = { orders: pipeline({ broker: "pubsub" }, { index: { collection: "orders" } }) };
    expect(faultsOf(environmentOf(google))).toEqual([
      expect.stringMatching(/orders\.index\.broker: must be a broker that triggers functions on Azure/),
    ]);
    const work = (broker: string) => ({ ...CONNECTIONS, PERSISTOR_WORK_TOPIC: JSON.stringify({ broker, topic: "work" }) });
    expect(faultsOf(environmentOf(fromServiceBus, work("pubsub")))).toEqual([
      expect.stringMatching(/^PERSISTOR_WORK_TOPIC\.broker: must be a broker that triggers functions on Azure/),
    ]);
    expect(faultsOf(environmentOf(fromServiceBus, work("event-hubs")))).toEqual([]);
  });

  it("take topics that lie in folders at Service Bus, and at no other broker", () => {
    const topic = "Shop.Contracts/OrderPlaced--v2--";
    const at = (broker: string) => {
      const beside = { index: { broker, topic, collection: "orders" }, deadLetter: { broker, topic: "dead/letters" } };
      const reads = { dead: pipeline({ broker, topic: "dead/letters" }) };
      return environmentOf(
        { orders: pipeline({ broker, topic: "a/b" }, beside), ...reads },
        {
          ...CONNECTIONS,
          PERSISTOR_DESTINATIONS: JSON.stringify({ again: { broker, topic } }),
          PERSISTOR_WORK_TOPIC: JSON.stringify({ broker, topic: "work/items" }),
        },
      );
    };
    expect(faultsOf(at("service-bus"))).toEqual([]);
    expect(readSettings(at("service-bus"), "azure").pipelines["orders"]?.source.subscription).toBe("a-b-persistor");
    const places = [
      "PERSISTOR_PIPELINES.orders.source",
      "PERSISTOR_PIPELINES.orders.index",
      "PERSISTOR_PIPELINES.orders.deadLetter",
      "PERSISTOR_PIPELINES.dead.source",
      "PERSISTOR_DESTINATIONS.again",
      "PERSISTOR_WORK_TOPIC",
    ];
    expect(faultsOf(at("event-hubs"))).toEqual(
      places.map((place) => `${place}.topic: has a slash, which only a name at Service Bus may have`),
    );
    for (const none of ["/a", "a/", "a//b", "a/../b", "a/$management"]) {
      expect(faultsOf(environmentOf({ orders: pipeline({ broker: "service-bus", topic: none }) }))).toEqual([
        expect.stringContaining("must be a topic's name"),
      ]);
    }
  });

  it("let one pipeline alone read a queue, whatever its subscription, and however it is spelled", () => {
    const queue = (topic: string, subscription: string, more = {}) =>
      pipeline({ broker: "service-bus", entity: "queue", topic, subscription, ...more });
    expect(faultsOf(environmentOf({ a: queue("orders", "one"), b: queue("Orders", "two") }))).toEqual([
      "PERSISTOR_PIPELINES.b.source: reads queue Orders, as pipeline a does; only one can have all its messages",
    ]);
    expect(faultsOf(environmentOf({ a: queue("orders", "one"), b: queue("orders", "one", { deadLetterQueue: true }) }))).toEqual([]);
    const topic = (subscription: string) => pipeline({ broker: "service-bus", topic: "orders", subscription });
    expect(faultsOf(environmentOf({ a: topic("one"), b: topic("two") }))).toEqual([]);
    expect(faultsOf(environmentOf({ a: topic("one"), b: topic("ONE") }))).toHaveLength(1);
  });

  it("take what Service Bus keeps beside a topic of dead letters or of index records for something else than these", () => {
    const beside = { index: { collection: "orders" }, deadLetter: {} };
    const deadLetterQueue = (topic: string, subscription: string) =>
      pipeline({ broker: "service-bus", topic, subscription, deadLetterQueue: true, id: "undelivered" });
    const pipelines = {
      orders: pipeline({ broker: "service-bus" }, beside),
      unstored: deadLetterQueue("persistor-dead-letter", "persistor-dead-letter-persistor"),
      unindexed: deadLetterQueue("persistor-index", "persistor-indexer"),
    };
    const { pipelines: read } = readSettings(environmentOf(pipelines), "azure");
    expect(Object.keys(read)).toEqual(["orders", "unstored", "unindexed", "dead-letter"]);
  });

  it("refuse schedules that are none, and times out of bounds", () => {
    const schedules = ["0 * * * *", "every minute", "0 * * * * * *", "0 * * * * ;"];
    for (const PERSISTOR_PULL_SCHEDULE of schedules) {
      expect(faultsOf(environmentOf(fromServiceBus, { ...CONNECTIONS, PERSISTOR_PULL_SCHEDULE }))).toEqual([
        expect.stringContaining("NCRONTAB"),
      ]);
    }
    expect(faultsOf(environmentOf(fromServiceBus, { ...CONNECTIONS, PERSISTOR_PULL_SECONDS: "0" }))).toHaveLength(1);
    expect(faultsOf(environmentOf(fromServiceBus, { ...CONNECTIONS, PERSISTOR_PULL_SECONDS: "541" }))).toHaveLength(1);
    expect(faultsOf(environmentOf(fromServiceBus, { ...CONNECTIONS, PERSISTOR_PULL_SCHEDULE: "0 */5 8-18 * * MON-FRI" }))).toEqual([]);
  });
});
