import { expect, test } from "vitest";
import { describeWhere } from "../../contract/support-ports.ts";
import { kafkaBrokerMissing } from "../kafka-broker.ts";
import { told, until } from "./support-app.ts";
import { kafkaSuite, MANY_BINARY, type SentRecord, texts } from "./support-kafka.ts";

describeWhere(kafkaBrokerMissing(), "a Kafka function", () => {
  const suite = kafkaSuite();

  const RECORDS: SentRecord[] = [
    { value: Buffer.of(0, 255), key: Buffer.from("123"), headers: new Map([[Buffer.from("Kind"), Buffer.of(1, 255)]]) },
    { value: Buffer.alloc(0), key: Buffer.of(0xff) },
    { value: null, key: Buffer.from("gone") },
    { value: Buffer.from('{"a":1}'), key: null },
  ];

  test("of a batch with dataType binary gets the values alone, without tombstones; the rest is metadata", async () => {
    const topic = await suite.freshTopic();
    const host = await suite.hostOf({ topic, trigger: MANY_BINARY, body: "tell(input); tell(context.triggerMetadata);" });
    await suite.send(topic, RECORDS);
    await until(() => told(host).length === 2, host.output);
    expect(told(host)[0]).toEqual([{ hex: "00ff" }, { hex: "" }, { hex: Buffer.from('{"a":1}').toString("hex") }]);
    expect(told(host)[1]).toEqual({
      partitionArray: [0, 0, 0, 0],
      offsetArray: [0, 1, 2, 3],
      timestampArray: Array(4).fill(expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)),
      topicArray: Array(4).fill(topic),
      keyArray: ["123", "\uFFFD", "gone", null],
      headersArray: [[{ key: "Kind", value: "Af8=" }], [], [], []],
    });
  });

  test("of a batch with dataType string gets each record as an object, with lossy texts", async () => {
    const topic = await suite.freshTopic();
    const host = await suite.hostOf({ topic, trigger: 'cardinality: "MANY", dataType: "string"', body: "tell(input);" });
    await suite.send(topic, RECORDS);
    await until(() => told(host).length === 1, host.output);
    const [records] = told(host) as object[][];
    expect(records).toHaveLength(4);
    expect(records?.[0]).toMatchObject({
      Key: "123",
      Offset: 0,
      Partition: 0,
      Topic: topic,
      Value: "\0\uFFFD",
      Headers: [{ Key: "Kind", Value: "Af8=" }],
    });
    expect(records?.[2]).toMatchObject({ Key: "gone", Value: null });
    expect(records?.[3]).toMatchObject({ Key: null, Value: '{"a":1}' });
  });

  test("of one record gets it as an object or as bytes, in the order of its partition", async () => {
    const topic = await suite.freshTopic();
    const text = await suite.hostOf({
      topic,
      trigger: "",
      body: "tell([input.Value, context.triggerMetadata.key, context.triggerMetadata.offset]);",
    });
    const bytes = await suite.hostOf({ topic, group: "other", trigger: 'dataType: "binary"', body: "tell(input);" });
    await suite.send(
      topic,
      texts("a", "b", "c").map((record, i) => ({ ...record, key: Buffer.from(String(i)) })),
    );
    await until(() => told(text).length === 3 && told(bytes).length === 3, text.output);
    expect(told(text)).toEqual([
      ["a", 0, 0],
      ["b", 1, 1],
      ["c", 2, 2],
    ]);
    expect(told(bytes)).toEqual(["61", "62", "63"].map((hex) => ({ hex })));
  });

  test("of a batch without a dataType is in error", async () => {
    const host = await suite.hostOf({ topic: "any", trigger: 'cardinality: "MANY"', body: "" });
    expect(host.functions[0]?.error).toContain("needs a 'dataType'");
  });
});
