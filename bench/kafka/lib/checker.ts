import type { Message } from "@platformatic/kafka";
import { digestOf } from "../../../shared/core/digest.ts";
import { type MessageContent, stringAttribute } from "../../../shared/core/message.ts";
import type { Measure } from "../../lib/child.ts";
import { type ConsumeOrder, consume } from "./consuming.ts";
import { contentAt } from "./messages.ts";

/** Reads a topic by the client library, and fails unless it holds flights 0 to `count` - 1, each once and with the digest of the original. */
export const measure: Measure<ConsumeOrder, null> = async (order) => {
  const { topic, count } = order;
  const isSeen = new Uint8Array(count);
  await consume(order, (message) => {
    const i = Number(message.key.toString());
    if (isSeen[i] !== 0) throw new Error(`reading ${topic}: ${isSeen[i] === 1 ? `message ${i} came twice` : `there is no message ${i}`}`);
    isSeen[i] = 1;
    if (!digestOf(contentOf(message)).equals(digestOf(contentAt(i)))) throw new Error(`reading ${topic}: message ${i} is another one`);
  });
  return null;
};

function contentOf({ key, value, headerEntries }: Message): MessageContent {
  const attributes = headerEntries.map(([name, text]) => stringAttribute(name.toString(), text.toString()));
  return { payloadKind: "bytes", payload: value, attributes, system: [], key, orderingKey: "", contentType: "" };
}
