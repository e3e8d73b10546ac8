import { type Attribute, type Message, NO_SEQUENCE, stringAttribute } from "../../../core/message.ts";
import { compareUtf8 } from "../../../core/text.ts";

/** What becomes `broker_id` and topic of a message. */
export interface Origin {
  id: string;
  topic: string;
}

/** What Pub/Sub says of a message, whichever way it came. */
export interface PubsubMessage {
  payload: Uint8Array;
  attributes: Readonly<Record<string, string>>;
  messageId: string;
  publishTimeUs: number;
  orderingKey: string;
}

/** A message of Pub/Sub as ours. Its attributes are a map, which has no order: they are put in that of their names' bytes. */
export function messageOf({ payload, attributes, messageId, publishTimeUs, orderingKey }: PubsubMessage, { id, topic }: Origin): Message {
  return {
    brokerId: id,
    brokerMessageId: messageId,
    topic,
    partition: "",
    sequence: NO_SEQUENCE,
    publishTimeUs,
    payloadKind: "bytes",
    payload,
    attributes: attributesOf(attributes),
    system: [],
    key: null,
    orderingKey,
    contentType: "",
  };
}

function attributesOf(map: Readonly<Record<string, string>>): Attribute[] {
  const names = Object.keys(map).sort(compareUtf8);
  return names.map((name) => stringAttribute(name, map[name] as string));
}
