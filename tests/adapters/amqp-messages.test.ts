import fc from "fast-check";
import rhea from "rhea";
import { describe, expect, test } from "vitest";
import { carryingFault } from "../../shared/adapters/support/amqp/carrying.ts";
import { createMessageReading } from "../../shared/adapters/support/amqp/reading.ts";
import type { OrderingPart } from "../../shared/adapters/support/amqp/sections.ts";
import { writeBatch, writeMessage } from "../../shared/adapters/support/amqp/writing.ts";
import { type Attribute, binaryAttribute, type MessageContent, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import { anyContent, comparable, messageOf } from "../contract/support-messages.ts";

const { types, message: rheaMessage } = rhea as unknown as {
  types: Record<string, (value?: unknown, code?: unknown) => unknown> & { Reader: new (bytes: Buffer) => { read(): unknown } };
  message: { encode(message: object): Buffer; decode(bytes: Buffer): Record<string, unknown>; data_sections(data: Buffer[]): unknown };
};

const BROKER = new Set(["x-opt-sequence-number", "x-opt-enqueued-time", "x-opt-locked-until", "x-opt-offset"]);
const PARTS: readonly OrderingPart[] = ["group-id", "partition-key"];
const readingOf = (orderingPart: OrderingPart) => createMessageReading({ orderingPart, brokerAnnotations: BROKER });
const read = readingOf("group-id");
const faultOf = (content: MessageContent, orderingPart: OrderingPart = "group-id") =>
  carryingFault(content, { product: "Service Bus", orderingPart, maxOrderingKey: 128 });

/** Each of AMQP's types, by the kind that stands for it, with the value as rhea writes it. */
const TYPED: readonly [kind: string, value: unknown, hex: string][] = [
  ["amqp:ubyte", types.wrap_ubyte?.(255), "ff"],
  ["amqp:ushort", types.wrap_ushort?.(65_535), "ffff"],
  ["amqp:uint", types.wrap_uint?.(0), "00000000"],
  ["amqp:uint", types.wrap_uint?.(200), "000000c8"],
  ["amqp:uint", types.wrap_uint?.(4_000_000_000), "ee6b2800"],
  ["amqp:ulong", types.wrap_ulong?.(0), "0000000000000000"],
  ["amqp:ulong", types.wrap_ulong?.(7), "0000000000000007"],
  ["amqp:ulong", types.wrap_ulong?.(Buffer.from("ffffffffffffffff", "hex")), "ffffffffffffffff"],
  ["amqp:byte", types.wrap_byte?.(-1), "ff"],
  ["amqp:short", types.wrap_short?.(-2), "fffe"],
  ["amqp:int", types.wrap_int?.(-3), "fffffffd"],
  ["amqp:int", types.wrap_int?.(70_000), "00011170"],
  ["long", types.wrap_long?.(-4), "fffffffffffffffc"],
  ["long", types.wrap_long?.(Buffer.from("7fffffffffffffff", "hex")), "7fffffffffffffff"],
  ["amqp:float", types.wrap_float?.(1), "3f800000"],
  ["double", types.wrap_double?.(1), "3ff0000000000000"],
  ["timestamp", types.wrap_timestamp?.(1_000), "00000000000003e8"],
  ["amqp:char", types.wrap_char?.(0x1f600), "0001f600"],
  ["amqp:uuid", types.wrap_uuid?.(Buffer.alloc(16, 7)), "07".repeat(16)],
  ["amqp:symbol", types.wrap_symbol?.("sym"), "73796d"],
  ["boolean", types.wrap_boolean?.(true), "01"],
  ["boolean", types.wrap_boolean?.(false), "00"],
  ["binary", Buffer.from([0, 255]), "00ff"],
  ["null", null, ""],
];

const typedContent = (part: OrderingPart) => {
  const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const value = fc.oneof(
    fc.string({ unit: "grapheme" }).map((text) => ["string", text] as const),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => ["binary", bytes] as const),
    fc.constantFrom(...TYPED).map(([kind, , hex]) => [kind, Uint8Array.from(Buffer.from(hex, "hex"))] as const),
    bytesOf(8).map((bytes) => ["amqp:decimal64", bytes] as const),
    fc
      .constantFrom("45", "c00200", "c1060243a1015855", "e005025401ff02", "0053204101")
      .map((hex) => ["amqp:encoded", Uint8Array.from(Buffer.from(hex, "hex"))] as const),
  );
  const named = (name: fc.Arbitrary<string>) =>
    fc.tuple(name, value).map(([n, [kind, held]]): Attribute => ({ name: n, kind, value: held }));
  const systemNames = [
    "amqp:message-id",
    "amqp:ttl",
    "amqp:durable",
    "amqp:subject",
    "amqp:group-id",
    "amqp:content-type",
    "amqp:annotation:x-opt-partition-key",
    "amqp:annotation:x-own",
  ];
  return fc
    .record({
      body: fc.oneof(
        fc.uint8Array({ maxLength: 400 }).map((payload) => ({ payloadKind: "bytes" as const, payload })),
        fc.constant({ payloadKind: "null" as const, payload: new Uint8Array(0) }),
        fc
          .constantFrom("40", "a10161", "d10000000c0000000443a101585443")
          .map((hex) => ({ payloadKind: "amqp-value" as const, payload: Uint8Array.from(Buffer.from(hex, "hex")) })),
        fc
          .constantFrom("45", "4545", "c003014101c00201" + "40")
          .map((hex) => ({ payloadKind: "amqp-sequence" as const, payload: Uint8Array.from(Buffer.from(hex, "hex")) })),
      ),
      attributes: fc.uniqueArray(named(fc.string({ unit: "grapheme", maxLength: 40 })), { selector: ({ name }) => name, maxLength: 10 }),
      system: fc.uniqueArray(named(fc.constantFrom(...systemNames)), { selector: ({ name }) => name, maxLength: 6 }),
      orderingKey: fc.string({ unit: "grapheme", maxLength: 20 }),
      contentType: fc.constantFrom("", "application/json", "text/plain; charset=utf-8"),
    })
    .map(({ body, ...rest }): MessageContent => messageOf("", { ...body, ...rest }))
    .filter((content) => faultOf(content, part) === undefined);
};

const bySystemName = (content: MessageContent) => ({
  ...content,
  system: content.system.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
});
const same = (got: MessageContent, wanted: MessageContent): void => {
  expect(comparable(bySystemName(got))).toEqual(comparable(bySystemName(wanted)));
};

describe("messages in AMQP", () => {
  test.each(PARTS)("are read again as what was written, with the ordering key as %s", (part) => {
    fc.assert(
      fc.property(typedContent(part), (content) => same(readingOf(part)(writeMessage(content, { orderingPart: part })).content, content)),
      { numRuns: 1_000 },
    );
  });

  test("are read again as what was written, whatever content there is that may be carried", () => {
    fc.assert(
      fc.property(anyContent, (content) => {
        const plain = { ...content, system: [], key: null };
        for (const each of [content, plain])
          if (faultOf(each) === undefined) same(read(writeMessage(each, { orderingPart: "group-id" })).content, each);
      }),
    );
  });

  test.each(TYPED)("keep the type of a property: %s", (kind, value, hex) => {
    const encoded = rheaMessage.encode({ body: rhea.message.data_section(Buffer.from("x")), application_properties: { p: value } });
    const { content } = read(encoded);
    const [property] = content.attributes as [Attribute];
    expect([property.name, property.kind]).toEqual(["p", kind]);
    expect(Buffer.from(property.value as Uint8Array).toString("hex")).toBe(hex);
    const again = rheaMessage.decode(writeMessage(content, { orderingPart: "group-id" }));
    expect(again.application_properties).toEqual(rheaMessage.decode(encoded).application_properties);
  });

  test("are what another implementation reads: properties, header, annotations and body", () => {
    const content = messageOf("payload", {
      attributes: [stringAttribute("ä".repeat(200), "ü".repeat(300)), nullAttribute("none")],
      system: [
        stringAttribute("amqp:message-id", "123"),
        { name: "amqp:ttl", kind: "amqp:uint", value: Buffer.from("00000e10", "hex") },
        binaryAttribute("amqp:user-id", Buffer.from("me")),
        stringAttribute("amqp:annotation:x-opt-partition-key", "a"),
      ],
      orderingKey: "session",
      contentType: "text/plain",
    });
    expect(rheaMessage.decode(writeMessage(content, { orderingPart: "group-id" }))).toMatchObject({
      message_id: "123",
      user_id: Buffer.from("me"),
      ttl: 3_600,
      group_id: "session",
      content_type: "text/plain",
      message_annotations: { "x-opt-partition-key": "a" },
      application_properties: { ["ä".repeat(200)]: "ü".repeat(300), none: null },
      body: { typecode: 0x75, content: Buffer.from("payload") },
    });
  });

  test("tell several data sections from one with the same bytes, and none from an empty one", () => {
    const data = (...pieces: string[]) =>
      rheaMessage.encode({ body: rheaMessage.data_sections(pieces.map((piece) => Buffer.from(piece))) });
    const several = read(data("ab", "", "c")).content;
    expect(Buffer.from(several.payload).toString()).toBe("abc");
    expect(several.system).toHaveLength(1);
    expect(rheaMessage.decode(writeMessage(several, { orderingPart: "group-id" })).body).toEqual(
      rheaMessage.decode(data("ab", "", "c")).body,
    );
    expect(read(data("abc")).content.system).toEqual([]);
    expect(read(data("")).content).toMatchObject({ payloadKind: "bytes", payload: Buffer.alloc(0) });
    expect(read(writeMessage(messageOf("", { payloadKind: "null" }), { orderingPart: "group-id" })).content.payloadKind).toBe("null");
  });

  test("leave what the broker sets out of the content, and tell it exactly", () => {
    const encoded = rheaMessage.encode({
      delivery_count: 3,
      message_annotations: {
        "x-opt-sequence-number": types.wrap_long?.(Buffer.from("7ffffffffffffff0", "hex")),
        "x-opt-enqueued-time": types.wrap_timestamp?.(1_700_000_000_123),
        "x-opt-offset": "12345678901234567890",
        "x-own": "kept",
      },
      body: rhea.message.data_section(Buffer.from("x")),
    });
    const { content, broker, deliveryCount } = read(encoded);
    expect(content.system).toEqual([stringAttribute("amqp:annotation:x-own", "kept")]);
    expect(broker).toEqual(
      new Map<string, bigint | string>([
        ["x-opt-sequence-number", 0x7ffffffffffffff0n],
        ["x-opt-enqueued-time", 1_700_000_000_123n],
        ["x-opt-offset", "12345678901234567890"],
      ]),
    );
    expect(deliveryCount).toBe(3);
  });

  test("get an id where they have none, and keep their own", () => {
    const options = { orderingPart: "group-id" } as const;
    const idOf = (content: MessageContent) => rheaMessage.decode(writeMessage(content, options, "job:1")).message_id;
    expect(idOf(messageOf("x"))).toBe("job:1");
    expect(idOf(messageOf("x", { system: [stringAttribute("amqp:message-id", "own")] }))).toBe("own");
  });

  test("keep keys that are no text, and text that is no UTF-8", () => {
    // Application properties {7: true, "t": <invalid UTF-8>}.
    const map = Buffer.from("d1000000100000000450" + "0741" + "a10174" + "a102fffe", "hex");
    map.writeUInt32BE(map.length - 5, 1);
    const encoded = Buffer.concat([Buffer.from("005374", "hex"), map, Buffer.from("005375a00178", "hex")]);
    const { content } = read(encoded);
    expect(content.attributes.map(({ name, kind }) => [name, kind])).toEqual([
      ["", "amqp:pair"],
      ["t", "amqp:encoded"],
    ]);
    expect(faultOf(content)).toBeUndefined();
    same(read(writeMessage(content, { orderingPart: "group-id" })).content, content);
  });

  test("that cannot be carried are named", () => {
    const fault = (more: Partial<MessageContent>) => faultOf(messageOf("x", more));
    expect(fault({ key: new Uint8Array(0) })).toContain("record key");
    expect(fault({ orderingKey: "k".repeat(129) })).toContain("128");
    expect(fault({ contentType: "ü" })).toContain("ASCII");
    expect(fault({ attributes: [stringAttribute("a", "1"), stringAttribute("a", "2")] })).toContain('"a"');
    expect(fault({ attributes: [{ name: "a", kind: "amqp:uuid", value: new Uint8Array(3) }] })).toContain("amqp:uuid");
    expect(fault({ attributes: [{ name: "a", kind: "amqp:encoded", value: Buffer.from("a10161", "hex") }] })).toContain("amqp:encoded");
    expect(fault({ system: [stringAttribute("kafka:timestamp-ms", "1")] })).toContain("kafka:timestamp-ms");
    expect(fault({ system: [stringAttribute("amqp:group-id", "s")] })).toContain("amqp:group-id");
    expect(fault({ payloadKind: "amqp-value", payload: Buffer.from("00", "hex") })).toContain("amqp-value");
    expect(fault({ payloadKind: "amqp-sequence", payload: Buffer.from("40", "hex") })).toContain("amqp-sequence");
  });

  test("that are damaged are read or kept whole, whatever is broken", () => {
    const whole = writeMessage(
      messageOf("payload", {
        attributes: TYPED.map(([kind, , hex], i) => ({ name: `${i}`, kind, value: Buffer.from(hex, "hex") })),
        orderingKey: "s",
      }),
      { orderingPart: "group-id" },
    );
    const readOrKept = (bytes: Buffer) => {
      const { content } = read(bytes);
      if (content.system.some(({ name }) => name === "amqp:unreadable"))
        expect(bytes.subarray(bytes.length - content.payload.length).equals(content.payload)).toBe(true);
    };
    for (let length = 1; length < whole.length; length++) readOrKept(whole.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const broken = Buffer.from(whole);
        broken[at] = byte;
        readOrKept(broken);
      }),
      { numRuns: 5_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => readOrKept(Buffer.from(bytes))),
      { numRuns: 5_000 },
    );
    expect(read(Buffer.from("nonsense")).content).toMatchObject({ payloadKind: "bytes", payload: Buffer.from("nonsense") });
  });

  test("that cannot be taken apart are the same at each delivery, and keep what their broker says of them", () => {
    // A list of properties that is longer than its element.
    const bare = Buffer.from("005373c003014101", "hex");
    // Empty properties and a null, which rhea writes where nothing is given.
    const empty = Buffer.from("0053734500537740", "hex");
    const delivered = (deliveryCount: number) => {
      const annotations = { "x-opt-locked-until": types.wrap_timestamp?.(deliveryCount), "x-opt-offset": "7", "x-own": "kept" };
      const encoded = rheaMessage.encode({ durable: true, delivery_count: deliveryCount, message_annotations: annotations });
      return read(Buffer.concat([encoded.subarray(0, -empty.length), bare]));
    };
    const { content, broker, deliveryCount } = delivered(2);
    expect(deliveryCount).toBe(2);
    expect(broker.get("x-opt-offset")).toBe("7");
    expect(content).toMatchObject({ payloadKind: "bytes", payload: bare });
    expect(content.system.map(({ name }) => name)).toEqual(["amqp:durable", "amqp:annotation:x-own", "amqp:unreadable"]);
    same(delivered(3).content, content);
    expect(faultOf(content)).toContain("amqp:unreadable");
  });

  test("in a batch are each as they are alone, behind what tells the first one's partition", () => {
    const contents = ["a", "b".repeat(300), ""].map((payload) => messageOf(payload, { orderingKey: "s" }));
    const encoded = contents.map((content) => writeMessage(content, { orderingPart: "group-id" }));
    const batch = rheaMessage.decode(writeBatch(encoded, contents[0] as MessageContent, { orderingPart: "group-id" }));
    expect(batch.group_id).toBe("s");
    expect((batch.body as { content: Buffer[] }).content.map((each) => each.toString("hex"))).toEqual(
      encoded.map((each) => each.toString("hex")),
    );
  });
});
