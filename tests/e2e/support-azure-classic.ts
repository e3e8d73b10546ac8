import {
  type Attribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type MessageContent,
  nullAttribute,
  stringAttribute,
} from "../../shared/core/message.ts";
import { messageOf } from "../contract/support-messages.ts";
import { NOT_UTF8 } from "./support-azure-nasty.ts";

/* What is left of the nasty messages with bodies of bytes where the classic binding delivers them, one by one, in their order. */

const id = (value: string): Attribute => stringAttribute("amqp:message-id", value);
/** What JSON makes of the long id. */
const ROUNDED = "12345678901234567000";
/** What JSON makes of these sessions, as text; of `null` it makes nothing. */
const SESSIONS: Readonly<Record<string, string>> = { "123": "123", null: "", "1e3": "1000", "a session": "a session" };

const SENT: readonly MessageContent[] = [
  messageOf("ids", {
    contentType: "1",
    system: [
      id("123"),
      stringAttribute("amqp:correlation-id", "1000"),
      stringAttribute("amqp:to", ROUNDED),
      stringAttribute("amqp:reply-to", "true"),
      stringAttribute("amqp:reply-to-group-id", '{"kind":1}'),
    ],
  }),
  messageOf("second id", { system: [id("1000"), stringAttribute("amqp:correlation-id", "text")] }),
  messageOf("third id"),
  messageOf("fourth id", { system: [id(ROUNDED)] }),
  messageOf("case", { system: [id("case")], attributes: [stringAttribute("kind", "lower"), stringAttribute("üX-ä", "ü")] }),
  messageOf("values", {
    system: [id("values")],
    attributes: [
      stringAttribute("empty", ""),
      nullAttribute("absent"),
      stringAttribute("text", "1e3"),
      booleanAttribute("yes", true),
      booleanAttribute("no", false),
      longAttribute("whole", 7n),
      longAttribute("negative", -3n),
      doubleAttribute("fraction", 1.5),
      longAttribute("large", 2n ** 40n),
      stringAttribute("time", "2026-01-02T03:04:05.678Z"),
    ],
  }),
  messageOf("", { payload: NOT_UTF8, system: [id("no utf-8")] }),
  messageOf("123", { system: [id("number")] }),
  messageOf("{}", { system: [id("object")] }),
  messageOf("null", { system: [id("nothing")] }),
  messageOf("", { system: [id("empty")] }),
  messageOf('{"json":["ü"]}', { system: [id("json")], contentType: "application/json" }),
  messageOf("ttl", { system: [id("ttl")] }),
];

const ENCODED: readonly MessageContent[] = [
  messageOf("types", {
    system: [id("types")],
    attributes: [
      doubleAttribute("float", 1.5),
      longAttribute("whole", 1n),
      longAttribute("ubyte", 255n),
      longAttribute("ushort", 65_535n),
      longAttribute("uint", 4_000_000_000n),
      doubleAttribute("ulong", 2 ** 64),
      longAttribute("byte", -1n),
      longAttribute("short", -2n),
      longAttribute("int", -70_000n),
      doubleAttribute("long", 2 ** 63),
      longAttribute("double", 1n),
      stringAttribute("timestamp", "2026-01-02T03:04:05.678Z"),
      stringAttribute("char", "😀"),
      stringAttribute("uuid", "07070707-0707-0707-0707-070707070707"),
      stringAttribute("symbol", "sym"),
      stringAttribute("binary", NOT_UTF8.toString("base64")),
    ],
  }),
  messageOf("", { payload: Buffer.concat([Buffer.from("one,"), NOT_UTF8]), system: [id("sections")] }),
  messageOf("fields", { system: [id("7"), stringAttribute("amqp:correlation-id", "09090909-0909-0909-0909-090909090909")] }),
  messageOf("beside", { system: [id("beside"), stringAttribute("amqp:annotation:x-opt-partition-key", "a key")] }),
];

/** `sessions`: each message is of one of these, in turns. */
export function classicSet(sessions?: readonly string[]): MessageContent[] {
  if (!sessions) return [...SENT, ...ENCODED];
  const ofSession = (content: MessageContent, i: number): MessageContent => ({
    ...content,
    orderingKey: SESSIONS[sessions[i % sessions.length] as string] as string,
    // The session stands for the key of the partition.
    system: content.system.filter(({ name }) => name !== "amqp:annotation:x-opt-partition-key"),
  });
  return [...SENT.map(ofSession), ...ENCODED.map(ofSession)];
}
