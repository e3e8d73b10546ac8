import fc from "fast-check";
import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type Message,
  type MessageContent,
  nullAttribute,
  PAYLOAD_KINDS,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";

/** A message with this text as payload and nothing else, unless told. */
export function messageOf(payload: string, more: Partial<MessageContent> = {}): MessageContent {
  const plain: MessageContent = {
    payloadKind: "bytes",
    payload: Uint8Array.from(Buffer.from(payload)),
    attributes: [],
    system: [],
    key: null,
    orderingKey: "",
    contentType: "",
  };
  return { ...plain, ...more };
}

export function payloadText({ payload }: Pick<MessageContent, "payload">): string {
  return Buffer.from(payload).toString();
}

/** What of a message travels, in a form that compares whatever kind of byte array holds it. */
export function comparable(content: MessageContent | Message): unknown {
  const { payloadKind, payload, attributes, system, key, orderingKey, contentType } = content;
  const plain = (attribute: Attribute) => [
    attribute.name,
    attribute.kind,
    typeof attribute.value === "string" ? attribute.value : hexOf(attribute.value),
  ];
  return {
    payloadKind,
    payload: hexOf(payload),
    attributes: attributes.map(plain),
    system: system.map(plain),
    key: key && hexOf(key),
    orderingKey,
    contentType,
  };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Attributes that have broken message systems before. */
export const NASTY_ATTRIBUTES: readonly Attribute[] = [
  stringAttribute("", "empty name"),
  stringAttribute("empty", ""),
  stringAttribute("__proto__", "polluted"),
  stringAttribute("a.b.$c", "$dollar.dots"),
  stringAttribute("repeated", "1"),
  stringAttribute("repeated", "2"),
  stringAttribute("repeated", "1"),
  stringAttribute("日本 ü\u0000\n", "😀 \u0000 \u2028 é é"),
  stringAttribute("large", "ü".repeat(32 * 1024)),
  binaryAttribute(
    "binary",
    Uint8Array.from({ length: 256 }, (_, i) => i),
  ),
  binaryAttribute("no bytes", new Uint8Array(0)),
  nullAttribute("null"),
  booleanAttribute("yes", true),
  longAttribute("long", -(2n ** 63n)),
  doubleAttribute("double", -0),
  doubleAttribute("not a number", Number.NaN),
  timestampAttribute("time", 253_402_300_799_999n),
  { name: "id", kind: "amqp:uuid", value: new Uint8Array(16).fill(7) },
];

const bytes = fc.uint8Array({ maxLength: 300 });
const anyText = fc.string({ unit: "grapheme", maxLength: 80 });
const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  fc.tuple(anyText, anyText).map(([name, value]) => stringAttribute(name, value)),
  fc.tuple(anyText, bytes).map(([name, value]) => binaryAttribute(name, value)),
  fc.tuple(anyText, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(([name, value]) => longAttribute(name, value)),
  fc.tuple(anyText, fc.double()).map(([name, value]) => doubleAttribute(name, value)),
  fc.tuple(anyText, fc.constantFrom("amqp:uuid", "x"), bytes).map(([name, kind, value]) => ({ name, kind, value })),
  anyText.map(nullAttribute),
);

/** Any content that a message can have. */
export const anyContent: fc.Arbitrary<MessageContent> = fc
  .record({
    payloadKind: fc.constantFrom(...PAYLOAD_KINDS),
    payload: bytes,
    attributes: fc.array(attribute, { maxLength: 8 }),
    system: fc.array(attribute, { maxLength: 3 }),
    key: fc.option(bytes, { nil: null }),
    orderingKey: anyText,
    contentType: anyText,
  })
  .map((content) => (content.payloadKind === "null" ? { ...content, payload: new Uint8Array(0) } : content));
