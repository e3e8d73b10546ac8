import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeClassic } from "../../shared/adapters/brokers/service-bus/classic.ts";
import { messageOf as decoded, SERVICE_BUS } from "../../shared/adapters/brokers/service-bus/message.ts";
import { decodeBinding } from "../../shared/adapters/brokers/service-bus/trigger.ts";
import { writeMessage } from "../../shared/adapters/support/amqp/writing.ts";
import { metadataAttribute, metadataMillis, metadataText, metadataWhole } from "../../shared/adapters/support/trigger-metadata.ts";
import { InvalidInput } from "../../shared/core/errors.ts";
import { doubleAttribute, longAttribute, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import { comparable, messageOf } from "../contract/support-messages.ts";

const ORIGIN = { id: "orders-id", topic: "orders" };
const BODIES = [Buffer.from("one"), Buffer.alloc(0), Buffer.from([0xff, 0])];

/** What the worker gives for three messages, with all lists and every way of a number. */
const METADATA = {
  sequenceNumberArray: [7, { low: -1, high: 1, unsigned: false }, "9007199254740993"],
  deliveryCountArray: [1, 2, 3],
  enqueuedTimeArray: ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05.678"],
  messageIdArray: [123, "a-1", null],
  correlationIdArray: ["", "c", { json: true }],
  subjectArray: ["s", "", ""],
  sessionIdArray: ["", "k", 5],
  contentTypeArray: ["text/plain", "", "application/json"],
  applicationPropertiesArray: [{ kind: "a", n: 1, d: 0.5, yes: true, nothing: null, list: [1] }, {}, null],
};

const decode = (metadata: Record<string, unknown>, bodies: readonly Uint8Array[] = BODIES) => decodeClassic(bodies, metadata, ORIGIN);

describe("the classic binding", () => {
  test("gives bodies to the byte, and of the rest what the worker has left of it", () => {
    const [first, second, third] = decode(METADATA);
    expect(first?.message).toEqual({
      brokerId: "orders-id",
      brokerMessageId: "7",
      topic: "orders",
      partition: "",
      sequence: 7n,
      publishTimeUs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1000,
      payloadKind: "bytes",
      payload: BODIES[0],
      attributes: [
        stringAttribute("kind", "a"),
        longAttribute("n", 1n),
        doubleAttribute("d", 0.5),
        { name: "yes", kind: "boolean", value: Uint8Array.of(1) },
        nullAttribute("nothing"),
        stringAttribute("list", "[1]"),
      ],
      system: [stringAttribute("amqp:message-id", "123"), stringAttribute("amqp:subject", "s")],
      key: null,
      orderingKey: "",
      contentType: "text/plain",
    });
    expect(second).toMatchObject({ attempt: 2, message: { sequence: (1n << 32n) + 0xffff_ffffn, orderingKey: "k", payload: BODIES[1] } });
    expect(second?.message.publishTimeUs).toBe(Date.UTC(2026, 0, 2, 2, 4, 5, 678) * 1000);
    expect(third).toMatchObject({
      attempt: 3,
      message: { sequence: 9_007_199_254_740_993n, orderingKey: "5", payload: BODIES[2], attributes: [] },
    });
    expect(third?.message.system).toEqual([stringAttribute("amqp:correlation-id", '{"json":true}')]);
    expect(third?.message.publishTimeUs).toBe(first?.message.publishTimeUs);
  });

  test("keeps messages apart whose sequence numbers were rounded, by their ids", () => {
    const rounded = { sequenceNumberArray: [2 ** 60, 2 ** 60], messageIdArray: ["a", "b"] };
    const got = decode(rounded, BODIES.slice(0, 2)).map(({ message }) => [message.brokerMessageId, message.sequence]);
    expect(got).toEqual([
      [`${2n ** 60n}~a`, -1n],
      [`${2n ** 60n}~b`, -1n],
    ]);
  });

  test("does without lists that are missing, and leaves out those that lack entries", () => {
    const [first, second, third] = decode({ sequenceNumberArray: [1, 2, 3], correlationIdArray: ["of the second or the third"] });
    for (const each of [first, second, third]) {
      expect(each).toMatchObject({
        attempt: 1,
        message: { system: [], attributes: [], orderingKey: "", contentType: "", publishTimeUs: 0 },
      });
    }
  });

  test("takes the times that come without a zone where there are no others", () => {
    const [first] = decode({ sequenceNumberArray: [1], enqueuedTimeUtcArray: ["2026-01-02T03:04:05.678"] }, [Buffer.from("x")]);
    expect(first?.message.publishTimeUs).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1000);
  });

  test.each<[string, Record<string, unknown>, readonly unknown[]]>([
    ["sequence numbers of other messages", { sequenceNumberArray: [1, 2] }, BODIES],
    ["no sequence numbers", {}, BODIES],
    ["sequence numbers that are no list", { sequenceNumberArray: 1 }, BODIES.slice(0, 1)],
    ["bodies that were parsed", { sequenceNumberArray: [1] }, [{ parsed: true }]],
    ["bodies that are text", { sequenceNumberArray: [1] }, ["text"]],
  ])("refuses %s, and says what to do", (_, metadata, bodies) => {
    expect(() => decode(metadata, bodies as Uint8Array[])).toThrow(InvalidInput);
    expect(() => decode(metadata, bodies as Uint8Array[])).toThrow(/dataType binary/);
  });

  test("throws nothing else, whatever the metadata are", () => {
    const anything = fc.dictionary(
      fc.constantFrom(...Object.keys(METADATA), "other"),
      fc.oneof(fc.array(fc.oneof(fc.jsonValue(), fc.constant(Number.NaN)), { maxLength: 4 }), fc.jsonValue()),
    );
    fc.assert(
      fc.property(anything, (metadata) => {
        const sequenceNumberArray = Array.isArray(metadata.sequenceNumberArray) ? metadata.sequenceNumberArray : [1];
        const bodies = sequenceNumberArray.map(() => Buffer.from("x"));
        expect(decode({ ...metadata, sequenceNumberArray }, bodies)).toHaveLength(bodies.length);
      }),
    );
  });
});

describe("metadata of a trigger", () => {
  test.each<[unknown, string]>([
    ["text", "text"],
    [123, "123"],
    [1000, "1000"],
    [null, ""],
    [undefined, ""],
    [true, "true"],
    [["a"], '["a"]'],
  ])("%j is the text %j", (value, text) => {
    expect(metadataText(value)).toBe(text);
  });

  test.each<[unknown, bigint, boolean]>([
    [0, 0n, true],
    [-5, -5n, true],
    [2 ** 53 - 1, 9_007_199_254_740_991n, true],
    [2 ** 53, 9_007_199_254_740_992n, false],
    [1.5, 1n, false],
    ["18446744073709551615", 0n, false],
    ["9223372036854775807", 9_223_372_036_854_775_807n, true],
    ["-1", -1n, true],
    ["1e3", 0n, false],
    ["", 0n, false],
    [{ low: 0, high: -1, unsigned: false }, -(2n ** 32n), true],
    [{ low: 5 }, 0n, false],
    [Number.NaN, 0n, false],
    [null, 0n, false],
  ])("%j is the whole number %s, exactly: %s", (value, whole, isExact) => {
    expect(metadataWhole(value)).toEqual({ value: whole, isExact });
  });

  test.each<[unknown, number]>([
    ["1970-01-01T00:00:01Z", 1_000],
    ["1970-01-01T00:00:01", 1_000],
    ["1970-01-01T01:00:01+0100", 1_000],
    ["no time", 0],
    [null, 0],
    [{}, 0],
  ])("%j is a time of %i ms", (value, ms) => {
    expect(metadataMillis(value)).toBe(ms);
  });

  test("is a property as its JSON tells it", () => {
    expect(metadataAttribute("n", 2 ** 53)).toEqual(doubleAttribute("n", 2 ** 53));
    expect(metadataAttribute("n", undefined)).toEqual(nullAttribute("n"));
    expect(metadataAttribute("n", { a: 1 })).toEqual(stringAttribute("n", '{"a":1}'));
  });
});

describe("the binding by the SDK", () => {
  const CONTENT = messageOf("body", { attributes: [stringAttribute("Kind", "a"), stringAttribute("kind", "b")], orderingKey: "s" });
  const TOKEN = Buffer.from("00112233445566778899aabbccddeeff", "hex");
  const MARK = Buffer.from("x-opt-lock-token");
  const encoded = writeMessage(CONTENT, SERVICE_BUS, "1e3");

  test("gives the message to the byte, and its lock token as a GUID", () => {
    const bound = decodeBinding(Buffer.concat([TOKEN, MARK, encoded]), ORIGIN);
    expect(bound.lockToken).toBe("33221100-5544-7766-8899-aabbccddeeff");
    expect(comparable({ ...bound.message, system: [] })).toEqual(comparable(CONTENT));
    expect(bound.message.system).toEqual([stringAttribute("amqp:message-id", "1e3")]);
  });

  test("is not misled by a message that holds the mark itself", () => {
    const tricky = messageOf(`x${MARK}y`);
    const bound = decodeBinding(Buffer.concat([TOKEN, MARK, writeMessage(tricky, SERVICE_BUS)]), ORIGIN);
    expect(comparable(bound.message)).toEqual(comparable(tricky));
  });

  test.each([Buffer.alloc(0), encoded, Buffer.concat([TOKEN.subarray(1), MARK, encoded])])(
    "refuses content without a lock token",
    (content) => {
      expect(() => decodeBinding(content, ORIGIN)).toThrow(InvalidInput);
    },
  );
});

describe("a message of Service Bus that is no AMQP", () => {
  test.each(["ff", "0053", "005375a0", "005375a001", "005373c0ff"])("%j is kept whole, with the reason and an id of its own", (hex) => {
    const bytes = Buffer.from(hex, "hex");
    const { message, attempt } = decoded(bytes, ORIGIN);
    expect(attempt).toBe(1);
    expect(message).toMatchObject({ payloadKind: "bytes", payload: bytes, brokerId: "orders-id", topic: "orders" });
    expect(message.system).toMatchObject([{ name: "amqp:unreadable", kind: "string" }]);
    expect(message.brokerMessageId).toMatch(/^unnumbered-[0-9a-f]{32}$/);
  });

  test("has an id of its own where the broker numbers it not", () => {
    const ids = ["a", "b", "a"].map((text) => decoded(writeMessage(messageOf(text), SERVICE_BUS), ORIGIN).message.brokerMessageId);
    expect(ids[0]).toBe(ids[2]);
    expect(new Set(ids).size).toBe(2);
  });

  test("never throws, whatever the bytes are", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decoded(Buffer.from(bytes), ORIGIN)));
    const whole = writeMessage(messageOf("x".repeat(40), { orderingKey: "k", attributes: [longAttribute("n", 5n)] }), SERVICE_BUS, "id");
    for (let at = 0; at < whole.length; at++) {
      const broken = Buffer.from(whole);
      broken[at] = (broken[at] as number) ^ 0x55;
      decoded(broken, ORIGIN);
      decoded(whole.subarray(0, at), ORIGIN);
    }
  });
});
