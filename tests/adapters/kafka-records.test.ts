import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COMPRESSIONS } from "../../shared/adapters/brokers/kafka/compressions.ts";
import { cannotCarry } from "../../shared/adapters/brokers/kafka/publisher/carrying.ts";
import { recordOf } from "../../shared/adapters/brokers/kafka/publisher/record.ts";
import { CRC_AT, HEADER_BYTES, LOG_APPEND_TIME, readBatches } from "../../shared/adapters/brokers/kafka/records/batch.ts";
import { createMessageReader, TIMESTAMP_PROPERTY } from "../../shared/adapters/brokers/kafka/records/message.ts";
import { type OutgoingRecord, writeBatch } from "../../shared/adapters/brokers/kafka/records/writing.ts";
import { longAttribute, type Message } from "../../shared/core/message.ts";
import { anyContent, comparable, messageOf, NASTY_ATTRIBUTES } from "../contract/support-messages.ts";

const ORIGIN = { id: "orders", topic: "orders", partition: 7 };
const NOW_MS = Date.parse("2026-01-02T03:04:05Z");

function messagesOf(bytes: Buffer, from = 0): Message[] {
  const read = createMessageReader(ORIGIN);
  return [...readBatches(bytes)].flatMap((batch) => [...read(batch, from)]);
}

const record = (more: Partial<OutgoingRecord> = {}): OutgoingRecord => ({
  key: null,
  value: Buffer.from("v"),
  headers: [],
  timestamp: NOW_MS,
  ...more,
});

/** As the broker does it: gives the batch its first offset, which no checksum covers. */
function at(offset: number, batch: Buffer): Buffer {
  const placed = Buffer.from(batch);
  placed.writeBigInt64BE(BigInt(offset), 0);
  return placed;
}

describe("records of Kafka", () => {
  test.each(COMPRESSIONS)("come back unaltered from a batch compressed by %s", (compression) => {
    fc.assert(
      fc.property(fc.array(anyContent, { minLength: 1, maxLength: 30 }), (contents) => {
        const carried = contents
          .map((content) => ({ ...content, orderingKey: "", contentType: "", system: [] }))
          .filter((content) => cannotCarry(content) === undefined);
        fc.pre(carried.length > 0);
        const batch = writeBatch(
          carried.map((content) => recordOf(content, NOW_MS)),
          compression,
        );
        const messages = messagesOf(at(1000, batch));
        expect(messages.map(comparable)).toEqual(carried.map(comparable));
        expect(messages.map(({ brokerMessageId }) => brokerMessageId)).toEqual(carried.map((_, i) => `7-${1000 + i}`));
        for (const { publishTimeUs, partition, topic, brokerId } of messages)
          expect([publishTimeUs, partition, topic, brokerId]).toEqual([NOW_MS * 1000, "7", "orders", "orders"]);
      }),
      { numRuns: 60 },
    );
  });

  test("have text, binary, null, empty, repeated and unnamed headers, each as its own kind of attribute", () => {
    const headers = [
      { name: "text", value: "é" },
      { name: "", value: "no name" },
      { name: "twice", value: "1" },
      { name: "twice", value: "2" },
      { name: "empty", value: "" },
      { name: "null", value: null },
      { name: "binary", value: Uint8Array.of(0xff, 0) },
    ];
    const [message] = messagesOf(writeBatch([record({ headers })], "none"));
    expect(message?.attributes.map(({ name, kind, value }) => [name, kind, typeof value === "string" ? value : [...value]])).toEqual([
      ["text", "string", "é"],
      ["", "string", "no name"],
      ["twice", "string", "1"],
      ["twice", "string", "2"],
      ["empty", "string", ""],
      ["null", "null", []],
      ["binary", "binary", [0xff, 0]],
    ]);
  });

  test.each([null, "", "text", Uint8Array.of(0xc0)])("keep the bytes of a header name that is no UTF-8, with the value %j", (value) => {
    const name = Uint8Array.of(0x61, 0xff, 0x62);
    const [message] = messagesOf(writeBatch([record({ headers: [{ name, value }] })], "none"));
    expect(message?.attributes[0]).toMatchObject({ name: "a\uFFFDb", kind: "kafka:raw-name" });
    const [again] = messagesOf(writeBatch([recordOf(message as Message, NOW_MS)], "none"));
    expect(comparable(again as Message)).toEqual(comparable(message as Message));
    const raw = writeBatch([recordOf(message as Message, NOW_MS)], "none");
    expect(raw.includes(Buffer.from(name))).toBe(true);
  });

  test("cannot carry what would come back as something else", () => {
    const reasons = [
      messageOf("x", { attributes: [{ name: "b", kind: "binary", value: Buffer.from("text") }] }),
      messageOf("x", { attributes: [{ name: "a\uFFFD", kind: "kafka:raw-name", value: new Uint8Array(9) }] }),
      messageOf("x", { attributes: [{ name: "\ud800", kind: "string", value: "" }] }),
      messageOf("x", { orderingKey: "k" }),
      messageOf("x", { contentType: "text/plain" }),
      messageOf("x", { system: [longAttribute("session", 1n)] }),
      messageOf("x", { payloadKind: "amqp-value" }),
    ].map(cannotCarry);
    for (const reason of reasons) expect(reason).toMatch(/^Kafka /);
    expect(NASTY_ATTRIBUTES.filter((attribute) => cannotCarry(messageOf("x", { attributes: [attribute] })) === undefined)).toHaveLength(11);
  });

  test.each([
    [0n, 0],
    [-1n, -1000],
    [BigInt(NOW_MS) + 86_400_000n * 365n * 1000n, (NOW_MS + 86_400_000 * 365 * 1000) * 1000],
    [2n ** 63n - 1n, 9_223_372_036_854_774_000],
    [-(2n ** 63n), -9_223_372_036_854_774_000],
  ])("of the time %s ms keep it as a number, and exactly where a number cannot", (timestamp, publishTimeUs) => {
    const batch = writeBatch([record(), record({ timestamp })], "none");
    const message = messagesOf(batch)[1] as Message;
    expect(message.publishTimeUs).toBe(publishTimeUs);
    const sent = recordOf({ ...message, withTimeUs: message.publishTimeUs }, 0);
    expect(BigInt(sent.timestamp)).toBe(timestamp);
    const isExact = timestamp < 2n ** 43n && timestamp > -(2n ** 43n);
    expect(message.system).toEqual(isExact ? [] : [longAttribute(TIMESTAMP_PROPERTY, timestamp)]);
  });

  test("have the broker's time where the broker sets it", () => {
    const batch = writeBatch([record(), record({ timestamp: NOW_MS + 5 })], "none");
    batch.writeInt16BE(batch.readInt16BE(21) | LOG_APPEND_TIME, 21);
    batch.writeBigInt64BE(BigInt(NOW_MS + 99), 35);
    const read = createMessageReader(ORIGIN);
    const [parsed] = [...readBatches(rechecked(batch))];
    const times = [...read(parsed as never, 0)].map(({ publishTimeUs }) => publishTimeUs);
    expect(times).toEqual([(NOW_MS + 99) * 1000, (NOW_MS + 99) * 1000]);
  });

  test("before the offset asked for are left out", () => {
    const batch = at(
      10,
      writeBatch(
        Array.from({ length: 5 }, () => record()),
        "none",
      ),
    );
    expect(messagesOf(batch, 12).map(({ sequence }) => sequence)).toEqual([12n, 13n, 14n]);
  });

  test("of a batch that a fetch cut off are left for the next fetch", () => {
    const whole = writeBatch([record()], "none");
    const both = Buffer.concat([whole, at(1, whole)]);
    for (let end = whole.length; end < both.length; end++) expect(messagesOf(both.subarray(0, end))).toHaveLength(1);
  });

  test("of a batch of which any byte was changed are never taken for others", () => {
    const batch = writeBatch([record({ key: Buffer.from("k"), headers: [{ name: "a", value: "b" }] }), record()], "none");
    const whole = messagesOf(batch).map(comparable);
    for (let i = 16; i < batch.length; i++) {
      const changed = Buffer.from(batch);
      changed[i] = (changed[i] as number) ^ 0x10;
      expect(() => messagesOf(changed), `byte ${i}`).toThrow();
    }
    expect(messagesOf(batch).map(comparable)).toEqual(whole);
  });

  test("whose lengths lie are refused even where the checksum is right", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), (place, byte) => {
        const batch = writeBatch([record({ key: Buffer.from("key"), headers: [{ name: "name", value: "value" }] })], "none");
        batch[HEADER_BYTES + (place % (batch.length - HEADER_BYTES))] = byte;
        try {
          for (const { payload } of messagesOf(rechecked(batch))) expect(payload.length).toBeLessThanOrEqual(batch.length);
        } catch (error) {
          expect(error).toMatchObject({ name: "Error", message: expect.stringMatching(/record|header/) });
        }
      }),
      { numRuns: 300 },
    );
  });

  test("of the formats before Kafka 0.11 are refused by name", () => {
    const batch = writeBatch([record()], "none");
    batch[16] = 1;
    expect(() => messagesOf(batch)).toThrow(/record format 1/);
  });
});

/** With the checksum that its bytes have now. */
function rechecked(batch: Buffer): Buffer {
  let crc = 0xffffffff;
  for (const byte of batch.subarray(CRC_AT + 4)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  batch.writeUInt32BE((crc ^ 0xffffffff) >>> 0, CRC_AT);
  return batch;
}
