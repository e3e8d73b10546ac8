import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import { type MessageContent, nullAttribute, payloadContent, stringAttribute } from "../../shared/core/message.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing } from "../services/azure-cloud.ts";
import { call, flight, indexed, publishToServiceBus, receivedFromServiceBus, resubmitted, until } from "./support-azure.ts";
import { drained, expectWhole, indexerOf, lettersOf, publishFlights, queuePipeline, startFaultCloud } from "./support-azure-faults.ts";

const LIMIT_BYTES = 20_000;
const GOOD = 300;
const WORKER = "persistor-work/Subscriptions/persistor-worker";
/** What a name may not hold in an identifier, a header, a path of MongoDB, a metadata item of a blob, or a query. */
const NAMES = [
  "",
  " ",
  "a.b.c",
  ".",
  "$where",
  "$set.x",
  "__proto__",
  "constructor",
  "toString",
  "_id",
  "Kind",
  "kind",
  "1st",
  "with space",
  "with-dash",
  "Größe",
  "価格",
  "a\u0000b",
  "a\r\nX-Injected: 1",
  "x-ms-meta-a",
  "x-opt-lock-token",
  "DeadLetterReason",
  "deadLetterErrorReason",
  "persistor-pipeline",
  "additional_metadata",
  "n".repeat(1_500),
];

describeWhere(azureCloudMissing(), "the function app on Service Bus, given what it cannot handle,", () => {
  let cloud: AzureCloud;
  const lines: string[] = [];

  beforeAll(async () => {
    cloud = await startFaultCloud({
      pipelines: {
        small: queuePipeline("small", { batch: { maxMessageBytes: LIMIT_BYTES } }),
        named: queuePipeline("named"),
        "named-raw": {
          ...queuePipeline("named-raw"),
          store: { kind: "azure-blob", container: "lake", prefix: "raw", path: "{topic}", format: "raw" },
        },
        plain: queuePipeline("plain"),
      },
      destinations: { replay: { broker: "service-bus", topic: "replay" } },
      host: { onLine: (line) => lines.push(line) },
    });
  }, 180_000);
  afterAll(() => cloud?.stop());

  const completedOf = async (entity: string) => (await cloud.serviceBus.counts(entity)).completed;

  test("dead-letters a message above its pipeline's limit with the reason, stores the others of its batch, and sends it again unaltered", async () => {
    const bad: MessageContent[] = [
      { ...flight(0), payload: Buffer.alloc(LIMIT_BYTES + 1, "large") },
      // With what a letter adds, it is larger than the broker carries.
      { ...payloadContent(Buffer.alloc(249_800, "larger")), contentType: "text/plain" },
    ];
    const good = Array.from({ length: GOOD }, (_, i) => flight(i));
    const mixed = [...good.slice(0, GOOD / 2), ...bad, ...good.slice(GOOD / 2)];
    await publishToServiceBus(cloud, "small", mixed);
    await indexed(cloud, "dead-letter", bad.length);
    await indexed(cloud, "small", GOOD);
    const letters = await lettersOf(cloud, "small");
    expect(letters).toHaveLength(bad.length);
    for (const { additional_metadata: names } of letters) {
      expect(names).toMatchObject({ deadLetterErrorCategory: "too_large", deadLetterSource: "small" });
      expect(names["deadLetterErrorReason"]).toContain(`${LIMIT_BYTES} bytes`);
    }
    await drained(cloud, "small");
    expect(await completedOf("small")).toBe(mixed.length);
    const redriven = await resubmitted(cloud, "query/dead-letter?topic=replay", {
      filters: [{ "additional_metadata.persistor-pipeline": "small" }],
    });
    expect(redriven).toMatchObject({ status: 200, summary: { published_count: bad.length } });
    const sent = await receivedFromServiceBus(cloud, "replay", bad.length);
    expect(sent.map(({ digest }) => digest).sort()).toEqual(bad.map((content) => digestOf(content).toString("hex")).sort());
    expect((await cloud.serviceBus.counts("small")).deadLettered).toBe(0);
  }, 90_000);

  test.each(["named", "named-raw"])(
    "stores, indexes and finds messages whose properties have names that Azure, MongoDB or JavaScript dislike: %s",
    async (queue) => {
      const one = (name: string) => ({ ...flight(0), attributes: [stringAttribute(name, `value of ${name.slice(0, 20)}`)] });
      const contents = [
        ...NAMES.map(one),
        { ...flight(1), attributes: NAMES.map((name) => stringAttribute(name, "all")) },
        { ...flight(2), attributes: NAMES.map((name) => nullAttribute(name)) },
      ];
      const digests = await publishToServiceBus(cloud, queue, contents);
      if (queue === "named") await expectWhole(cloud, queue, digests);
      await indexed(cloud, queue, contents.length);
      for (const name of NAMES.filter((each) => each !== "")) {
        const { status, body } = await call(cloud, "POST", `/api/indexer/query/${queue}`, {
          filters: [{ [`additional_metadata.${name}`]: { $in: ["all", `value of ${name.slice(0, 20)}`] } }],
        });
        expect([name, status, body.messages?.length]).toEqual([name, 200, 2]);
      }
      const { status, summary } = await resubmitted(cloud, `query/${queue}?topic=replay`, { filters: [{}] });
      expect([status, summary]).toMatchObject([200, { published_count: contents.length, verified_count: contents.length }]);
      const sent = await receivedFromServiceBus(cloud, "replay", contents.length);
      expect(sent.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
    },
    90_000,
  );

  test("dead-letters index messages that cannot be read with the reason, and indexes those beside them", async () => {
    const before = await completedOf(indexerOf());
    const bad = ["no JSON", "[]", '{"v":2,"collection":"plain","records":[]}', '{"v":1,"collection":"unknown","records":[]}', ""];
    const digests = await publishFlights(cloud, "plain", 0, GOOD);
    await publishToServiceBus(
      cloud,
      "persistor-index",
      bad.map((text) => payloadContent(Buffer.from(text))),
    );
    await until("the bad ones to be settled", async () => (await completedOf(indexerOf())) >= before + bad.length + 1);
    await until("letters", async () => (await lettersFrom("persistor-index")).length === bad.length);
    const letters = await lettersFrom("persistor-index");
    expect(letters.map(({ deadLetterErrorCategory }) => deadLetterErrorCategory).sort()).toEqual([
      "refused",
      "undecodable",
      "undecodable",
      "undecodable",
      "undecodable",
    ]);
    for (const { deadLetterErrorReason } of letters) expect(deadLetterErrorReason).toMatch(/reading an index message: /);
    await expectWhole(cloud, "plain", digests);
  }, 90_000);

  const lettersFrom = async (source: string): Promise<Record<string, string>[]> => {
    const { body } = await call(cloud, "POST", "/api/indexer/query/dead-letter?limit=1000", {
      filters: [{ "additional_metadata.deadLetterSource": source }],
    });
    return body.messages.map((message: { additional_metadata: Record<string, string> }) => message.additional_metadata);
  };

  test("drops work messages that name no job, or none that there is, telling so", async () => {
    const before = await completedOf(WORKER);
    const texts = ["no JSON", '{"v":1}', '{"v":2,"job":"x"}', '{"v":1,"job":"no-such-job"}'];
    await publishToServiceBus(
      cloud,
      "persistor-work",
      texts.map((text) => payloadContent(Buffer.from(text))),
    );
    await until("them to be settled", async () => (await completedOf(WORKER)) >= before + texts.length);
    expect(lines.filter((line) => /"level":"error".*a work message names no job/.test(line))).toHaveLength(3);
    expect(lines.filter((line) => /"level":"error".*no-such-job.*there is no such job/.test(line))).toHaveLength(1);
    await drained(cloud, WORKER);
    expect(await cloud.serviceBus.counts(WORKER)).toMatchObject({ deadLettered: 0 });
  }, 60_000);
});
