import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import { BrokerError, InvalidInput } from "../../shared/core/errors.ts";
import { cutByLimits, decodeIndexMessage, encodeIndexMessages, handOver } from "../../shared/core/index/index-message.ts";
import { type IndexRecord, indexRecordOf } from "../../shared/core/index-record.ts";
import { type MessageContent, stringAttribute } from "../../shared/core/message.ts";
import type { OutgoingMessage, Publisher } from "../../shared/core/ports/publisher.ts";
import { anyContent } from "../contract/support-messages.ts";
import { message } from "../fixtures/messages.ts";
import { type Bench, drain, openPipeline } from "../fixtures/pipeline.ts";

function recordOf(content: Partial<MessageContent>, number = 1): IndexRecord {
  const one = message(number, content);
  const place = { store: "local", key: "a/b.avro", codec: "zstandard", formatVersion: 1 };
  const location = { position: number, blockOffset: 10, blockLength: 20, blockPosition: number };
  return indexRecordOf({ message: one, digest: digestOf(one), ingestionTimeUs: 1_000_000, pipeline: "orders" }, { ...place, location });
}

const records = (count: number, content: Partial<MessageContent> = {}) => Array.from({ length: count }, (_, n) => recordOf(content, n));
/** Without what is undefined, as JSON has it. */
const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const decodeText = (text: string) => decodeIndexMessage(Buffer.from(text), "default");
const decode = (value: unknown) => decodeText(JSON.stringify(value));

describe("index messages", () => {
  it("give every record back as it was", () => {
    fc.assert(
      fc.property(
        fc.array(anyContent, { maxLength: 12 }),
        fc.string({ minLength: 1 }),
        fc.integer({ min: 1, max: 5_000 }),
        (contents, collection, maxBytes) => {
          const given = contents.map((content, n) => recordOf(content, n));
          const messages = encodeIndexMessages(collection, given, maxBytes);
          const decoded = messages.map(({ payload }) => decodeIndexMessage(payload, "another"));
          expect(decoded.flatMap((one) => one.records)).toEqual(given.map(asJson));
          for (const one of decoded) expect(one.collection).toBe(collection);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("are cut below the size given, in order, but for a single record that is larger", () => {
    const given = [
      ...records(50),
      recordOf({ attributes: Array.from({ length: 40 }, (_, i) => stringAttribute(`name ${i}`, "x".repeat(1_000))) }, 50),
      ...records(10),
    ];
    const messages = encodeIndexMessages("orders", given, 5_000);
    const counts = messages.map(({ payload }) => decodeIndexMessage(payload, "").records.length);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(61);
    for (const [i, { payload }] of messages.entries()) if (counts[i] !== 1) expect(payload.length).toBeLessThanOrEqual(5_000 + 100);
    expect(messages.filter(({ payload }) => payload.length > 40_000)).toHaveLength(1);
    expect(encodeIndexMessages("orders", [], 5_000)).toEqual([]);
  });

  it("go out in calls that keep to a publisher's limits, in order", () => {
    const sized = (bytes: number): OutgoingMessage => ({
      payloadKind: "bytes",
      payload: Buffer.alloc(bytes),
      attributes: [],
      system: [],
      key: null,
      orderingKey: "",
      contentType: "",
    });
    const calls = (sizes: number[]) =>
      [...cutByLimits(sizes.map(sized), { maxMessages: 3, maxBytes: 100 })].map((call) => call.map(({ payload }) => payload.length));
    expect(calls([1, 2, 3, 4])).toEqual([[1, 2, 3], [4]]);
    expect(calls([60, 40, 1])).toEqual([[60, 40], [1]]);
    expect(calls([200, 1])).toEqual([[200], [1]]);
    expect(calls([])).toEqual([]);
  });
});

describe("handing over", () => {
  let bench: Bench | undefined;
  afterEach(async () => {
    await bench?.dispose();
    bench = undefined;
  });

  async function target(change: Partial<Publisher> = {}) {
    bench = await openPipeline();
    return { publisher: { ...bench.broker.publisher, ...change }, topic: "index", collection: "orders" };
  }

  it("publishes messages that keep to the broker's limits and hold every record", async () => {
    const published: number[] = [];
    const index = await target();
    const limits = { maxMessages: 2, maxBytes: 60_000, maxMessageBytes: 20_000 };
    const publisher: Publisher = {
      ...index.publisher,
      limits,
      publish(topic, messages) {
        expect(messages.length).toBeLessThanOrEqual(limits.maxMessages);
        published.push(...messages.map(({ payload }) => payload.length));
        return index.publisher.publish(topic, messages);
      },
    };
    const given = records(300);
    await handOver({ ...index, publisher }, given);
    expect(published.length).toBeGreaterThan(4);
    for (const bytes of published) expect(bytes).toBeLessThanOrEqual(limits.maxMessageBytes);
    const { broker } = bench as Bench;
    expect((await drain(broker, "index", "indexer")).flatMap(({ payload }) => decodeIndexMessage(payload, "").records)).toEqual(
      given.map(asJson),
    );
  });

  it("throws what the broker says of any one message, and where it says nothing of one", async () => {
    const down = new BrokerError("broker_unavailable", "down", { retryable: true });
    const half = await target({
      publish: async (_, messages) => messages.map((_message, i) => (i === 0 ? { ok: true, messageId: "1" } : { ok: false, error: down })),
    });
    await expect(
      handOver(
        { ...half, publisher: { ...half.publisher, limits: { maxMessages: 10, maxBytes: 1e6, maxMessageBytes: 8_000 } } },
        records(50),
      ),
    ).rejects.toBe(down);
    await bench?.dispose();
    const silent = await target({ publish: async () => [] });
    await expect(handOver(silent, records(1))).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
  });
});

describe("the original's message of one record", () => {
  const original = {
    unique_id: "orders_5",
    broker_id: "orders",
    broker_msg_id: "5",
    ordering_key: "",
    business_source_key: "shop",
    business_object_key: "",
    index_source_key: "",
    location_key: "orders/2024/01/02/x.avro",
    location_position: 3,
    publish_time: "2024-01-02T03:04:05.678Z",
    ingestion_time: "2024-01-02T04:04:06+01:00",
    indexer_ingestion_time: "0001-01-01T00:00:00Z",
    additional_metadata: { type: "book", "a.b": "x", "": "empty" },
  };

  it("goes to the collection of its topic, with times from RFC 3339 and attributes from the map", () => {
    expect(decode(original)).toEqual({
      collection: "default",
      records: [
        {
          unique_id: "orders_5",
          broker_id: "orders",
          broker_msg_id: "5",
          business_source_key: "shop",
          location_key: "orders/2024/01/02/x.avro",
          location_position: 3,
          block_offset: 0,
          block_length: 0,
          block_position: 0,
          format_version: 0,
          payload_size: 0,
          store: "",
          codec: "",
          digest: "",
          publish_time: Date.UTC(2024, 0, 2, 3, 4, 5, 678),
          ingestion_time: Date.UTC(2024, 0, 2, 3, 4, 6),
          indexer_ingestion_time: Date.parse("0001-01-01T00:00:00Z"),
          attributes: [
            ["type", "book"],
            ["a.b", "x"],
            ["", "empty"],
          ],
        },
      ],
    });
  });

  it("may lack its map, or have it null", () => {
    const { additional_metadata: _, ...without } = original;
    expect(decode(without).records[0]?.attributes).toEqual([]);
    expect(decode({ ...original, additional_metadata: null }).records[0]?.attributes).toEqual([]);
  });

  it("keeps an attribute called __proto__ as an attribute", () => {
    const text = JSON.stringify(original).replace('"type"', '"__proto__"');
    expect(decodeText(text).records[0]?.attributes[0]).toEqual(["__proto__", "book"]);
  });
});

describe("what is no index message", () => {
  const record = asJson(recordOf({}));
  const withRecords = (...list: unknown[]) => ({ v: 1, collection: "orders", records: list });

  it.each<[string, unknown]>([
    ["", []],
    ["", null],
    ["", "text"],
    ["", 7],
    ["unique_id", {}],
    ["v", { records: [] }],
    ["v", { v: 2, collection: "orders", records: [] }],
    ["v", { v: "1", collection: "orders", records: [] }],
    ["collection", { v: 1, records: [] }],
    ["collection", { v: 1, collection: "", records: [] }],
    ["collection", { v: 1, collection: ["orders"], records: [] }],
    ["records", { v: 1, collection: "orders", records: {} }],
    ["records[0].", withRecords(1)],
    ["records[1].", withRecords(record, [])],
    ["records[0].unique_id", withRecords({ ...record, unique_id: "" })],
    ["records[0].unique_id", withRecords({ ...record, unique_id: 5 })],
    ["records[1].location_key", withRecords(record, { ...record, location_key: undefined })],
    ["records[0].ordering_key", withRecords({ ...record, ordering_key: 1 })],
    ["records[0].store", withRecords({ ...record, store: {} })],
    ["records[0].digest", withRecords({ ...record, digest: [] })],
    ["records[0].location_position", withRecords({ ...record, location_position: -1 })],
    ["records[0].location_position", withRecords({ ...record, location_position: 1.5 })],
    ["records[0].block_offset", withRecords({ ...record, block_offset: "10" })],
    ["records[0].block_length", withRecords({ ...record, block_length: 2 ** 53 })],
    ["records[0].publish_time", withRecords({ ...record, publish_time: "yesterday" })],
    ["records[0].publish_time", withRecords({ ...record, publish_time: null })],
    ["records[0].ingestion_time", withRecords({ ...record, ingestion_time: {} })],
    ["records[0].sequence", withRecords({ ...record, sequence: "1e3" })],
    ["records[0].sequence", withRecords({ ...record, sequence: 1.5 })],
    ["records[0].attributes[0]", withRecords({ ...record, attributes: ["a"] })],
    ["records[0].attributes[1]", withRecords({ ...record, attributes: [["a", 1], ["b"]] })],
    ["records[0].attributes[0]", withRecords({ ...record, attributes: [[1, "a"]] })],
    ["records[0].attributes[0][1]", withRecords({ ...record, attributes: [["a", []]] })],
    ["records[0].attributes[0][1]", withRecords({ ...record, attributes: [["a", { $binary: 1 }]] })],
    ["records[0].additional_metadata", withRecords({ ...record, attributes: undefined, additional_metadata: ["a"] })],
    ["records[0].additional_metadata.a", withRecords({ ...record, attributes: undefined, additional_metadata: { a: { b: 1 } } })],
  ])("is refused naming the place %j: %j", (path, value) => {
    expect(() => decode(value)).toThrow(InvalidInput);
    try {
      decode(value);
    } catch (error) {
      expect((error as InvalidInput).faults.map((fault) => fault.path)).toEqual([path]);
    }
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["broken JSON", Buffer.from('{"v": 1')],
    ["no UTF-8", Buffer.from([0x7b, 0xff, 0x7d])],
    ["Avro", Buffer.from("Obj\u0001...")],
  ])("such as %s is refused as no JSON", (_, bytes) => {
    expect(() => decodeIndexMessage(bytes, "default")).toThrow(InvalidInput);
  });

  it("throws nothing but InvalidInput, whatever it is", () => {
    const field = fc.constantFrom(...Object.keys(record));
    const broken = fc.tuple(field, fc.jsonValue()).map(([name, value]) => withRecords({ ...record, [name]: value }));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), broken), (value) => {
        try {
          for (const { unique_id, attributes, publish_time } of decode(value).records) {
            expect(unique_id.length).toBeGreaterThan(0);
            expect(Array.isArray(attributes)).toBe(true);
            expect(Number.isFinite(publish_time)).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof InvalidInput)) throw error;
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
