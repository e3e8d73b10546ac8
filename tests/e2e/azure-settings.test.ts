import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { topicFunctionName } from "../../shared/runtime/azure/function-name.ts";
import { type AzureHost, startAzureHost } from "../services/azure-host/host.ts";
import { ensureBundles } from "../services/bundles.ts";

const APP = fileURLToPath(new URL("../../dist/azure", import.meta.url));
/** Nobody listens there: what is registered is not what can be reached. */
const NAMESPACE = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true";
const STORAGE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/a;";
const ALWAYS = [
  ...["healthz", "indexer", "maintenance", "openapi-json", "readyz", "resubmitter"].map((name) => `httpTrigger ${name}`),
  "timerTrigger resubmit-sweep",
];
const LEGAL_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,126}$/;
const WORK = "serviceBusTrigger resubmit-work";

const pipeline = (source: object, more: object = {}) => ({
  source,
  store: { kind: "azure-blob", container: "lake" },
  ...more,
});

describe("the function app, by its settings,", () => {
  beforeAll(() => ensureBundles(), 120_000);

  const startWith = async (pipelines: unknown, more: Record<string, string> = {}): Promise<AzureHost> => {
    const env = {
      PERSISTOR_PIPELINES: typeof pipelines === "string" ? pipelines : JSON.stringify(pipelines),
      PERSISTOR_SERVICE_BUS: NAMESPACE,
      PERSISTOR_EVENT_HUBS: NAMESPACE,
      PERSISTOR_AZURE_STORAGE: STORAGE,
      PERSISTOR_KAFKA: JSON.stringify({ brokers: ["127.0.0.1:9"] }),
      PERSISTOR_MONGODB_URI: "mongodb://127.0.0.1:9",
      ...more,
    };
    const host = await startAzureHost({ appDir: APP, env, timers: false });
    onTestFinished(() => host.stop());
    return host;
  };
  const registered = ({ functions }: AzureHost) => functions.map(({ type, name }) => `${type} ${name}`).sort();
  const beside = (...functions: string[]) => [...ALWAYS, ...functions].sort();
  const consoleOf = (host: AzureHost) =>
    host
      .output()
      .split("\n")
      .flatMap((line) => (line.startsWith("[Information] Console: ") ? [line.slice("[Information] Console: ".length)] : []));

  test.each([
    ["no JSON", '{"orders": ', ["  PERSISTOR_PIPELINES: is not JSON: "]],
    [
      "two mistakes",
      { orders: pipeline({ broker: "service-bus", topic: "orders", binding: "dran" }), others: { source: { broker: "event-hubs" } } },
      [
        "  PERSISTOR_PIPELINES.orders.source.binding: ",
        "  PERSISTOR_PIPELINES.others.source.topic: ",
        "  PERSISTOR_PIPELINES.others.store: ",
      ],
    ],
    [
      "two pipelines that would be one function",
      { "orders.eu": pipeline({ broker: "service-bus", topic: "a" }), Orders_EU: pipeline({ broker: "service-bus", topic: "b" }) },
      ["  PERSISTOR_PIPELINES.Orders_EU: would be the function persist-Orders_EU, as pipeline orders.eu would; rename one of them"],
    ],
  ])("registers nothing and says once, by name, what is wrong: %s", async (_, pipelines, problems) => {
    const host = await startWith(pipelines);
    expect(host.functions).toEqual([]);
    const lines = consoleOf(host);
    const head = problems.length === 1 ? "one problem" : `${problems.length} problems`;
    expect(lines[0]).toContain(`reading the settings: ${head}`);
    expect(lines.slice(1)).toEqual(problems.map((problem) => expect.stringContaining(problem)));
  });

  test("names all that is missing for its brokers, and no secret", async () => {
    const orders = pipeline({ broker: "kafka", topic: "orders", binding: "classic" }, { index: { collection: "orders" } });
    const sasl = { mechanism: "PLAIN", username: "u", password: "very secret" };
    const host = await startWith(
      { orders },
      { PERSISTOR_KAFKA: JSON.stringify({ brokers: ["k:9"], sasl, tls: true }), PERSISTOR_AZURE_STORAGE: "" },
    );
    const text = consoleOf(host).join("\n");
    expect(text).toContain(
      "  PERSISTOR_AZURE_STORAGE: must be set, or PERSISTOR_AZURE_STORAGE__blobServiceUri: pipeline orders use Azure Blob Storage",
    );
    expect(text).toContain("  PERSISTOR_KAFKA_TRIGGER_PASSWORD: must be set: Azure's Kafka trigger logs in by itself");
    expect(host.output()).not.toContain("very secret");
  });

  test("refuses what Azure's Kafka trigger cannot do", async () => {
    const classic = pipeline({ broker: "kafka", topic: "orders", binding: "classic" }, { index: { collection: "orders" } });
    const oauth = { tokenEndpoint: "https://idp.example/token", clientId: "c", clientSecret: "s" };
    const byToken = JSON.stringify({ brokers: ["k:9"], sasl: { mechanism: "OAUTHBEARER", oauth } });
    const text = consoleOf(await startWith({ orders: classic }, { PERSISTOR_KAFKA: byToken })).join("\n");
    expect(text).toContain("  PERSISTOR_PIPELINES.orders.source.binding: must be drain: Azure's Kafka trigger does not do OAUTHBEARER");
    expect(text).toContain(
      "  PERSISTOR_PIPELINES.orders.index.broker: must be another broker: Azure's Kafka trigger does not do OAUTHBEARER",
    );
    const byCertificate = JSON.stringify({ brokers: ["k:9"], tls: { ca: "x" } });
    const PERSISTOR_WORK_TOPIC = JSON.stringify({ broker: "kafka", topic: "work" });
    const other = consoleOf(await startWith({ orders: classic }, { PERSISTOR_KAFKA: byCertificate, PERSISTOR_WORK_TOPIC })).join("\n");
    expect(other).toContain("  PERSISTOR_WORK_TOPIC.broker: must be another broker: Azure's Kafka trigger takes no certificates and names");
    expect(other).toContain(
      "  PERSISTOR_PIPELINES.orders.source.binding: must be drain: Azure's Kafka trigger takes no certificates and names",
    );
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    [
      "a Service Bus subscription alone",
      { orders: pipeline({ broker: "service-bus", topic: "orders" }) },
      ["serviceBusTrigger persist-orders", WORK],
    ],
    [
      "Service Bus with index, dead letters and the broker's own dead-letter queue",
      {
        orders: pipeline({ broker: "service-bus", topic: "orders" }, { index: { collection: "orders" }, deadLetter: {} }),
        undelivered: pipeline({ broker: "service-bus", topic: "orders", subscription: "orders-persistor", deadLetterQueue: true }),
      },
      ["orders", "undelivered", "dead-letter"]
        .map((name) => `serviceBusTrigger persist-${name}`)
        .concat("serviceBusTrigger index-service-bus-persistor-index", WORK),
    ],
    [
      "a drained Service Bus queue",
      { orders: pipeline({ broker: "service-bus", topic: "orders", entity: "queue", binding: "drain" }) },
      ["timerTrigger persist-orders", WORK],
    ],
    [
      "Event Hubs, drained and by the trigger, indexed there",
      {
        one: pipeline({ broker: "event-hubs", topic: "one" }, { index: { collection: "one" } }),
        two: pipeline({ broker: "event-hubs", topic: "two", binding: "classic" }),
      },
      ["timerTrigger persist-one", "eventHubTrigger persist-two", "eventHubTrigger index-event-hubs-persistor-index", WORK],
    ],
    ["Event Grid", { events: pipeline({ broker: "event-grid", topic: "events" }) }, ["eventGridTrigger persist-events", WORK]],
    [
      "Pub/Sub, which only a timer reads",
      { orders: pipeline({ broker: "pubsub", topic: "orders" }) },
      ["timerTrigger persist-orders", WORK],
    ],
    [
      "a pipeline with an odd name",
      { "0.Odd-name_": pipeline({ broker: "service-bus", topic: "orders" }) },
      ["serviceBusTrigger persist-0_Odd-name_", WORK],
    ],
  ])("registers the triggers that these name, and no other: %s", async (_, pipelines, functions) => {
    const host = await startWith(pipelines);
    expect(registered(host)).toEqual(beside(...functions));
    for (const { name } of host.functions) expect(name).toMatch(LEGAL_NAME);
  });

  test("gives a function that indexes a topic a name of its own, however long or odd the topic's is", () => {
    const topics = [
      "persistor-index",
      "orders.index",
      "orders_index",
      "Orders_index",
      `long.${"x".repeat(250)}`,
      `long_${"x".repeat(250)}`,
    ];
    const names = topics.map((topic) => topicFunctionName("index", `kafka-${topic}`));
    expect(names[0]).toBe("index-kafka-persistor-index");
    for (const name of names) expect(name).toMatch(LEGAL_NAME);
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(topics.length);
  });

  test("hands resubmission jobs over by the work topic that it is told", async () => {
    const work = { PERSISTOR_WORK_TOPIC: JSON.stringify({ broker: "event-hubs", topic: "work" }) };
    const host = await startWith({ orders: pipeline({ broker: "event-hubs", topic: "orders" }) }, work);
    expect(registered(host)).toEqual(beside("timerTrigger persist-orders", "eventHubTrigger resubmit-work"));
  });

  test("says at start which triggers lose types, or stop at some messages", async () => {
    const host = await startWith({
      one: pipeline({ broker: "service-bus", topic: "one", binding: "classic" }, { index: { collection: "one" } }),
      two: pipeline({ broker: "event-hubs", topic: "two", binding: "classic" }, { index: { collection: "two" } }),
      three: pipeline({ broker: "service-bus", topic: "three" }),
    });
    const warnings = consoleOf(host).flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    expect(warnings).toEqual([
      expect.objectContaining({
        level: "warn",
        function: "persist-two",
        event: expect.stringContaining("loses types and stops at events"),
      }),
      expect.objectContaining({ level: "warn", function: "persist-one", event: expect.stringContaining("loses types and some ids") }),
    ]);
  });
});
