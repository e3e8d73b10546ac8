import { contentSize, type MessageContent } from "../../../core/message.ts";
import type { Delivery } from "../../../core/ports/source.ts";
import { packContent, packedBound, unpackContent } from "./packing.ts";

/*
 * Messages cross the thread boundary as frames in one buffer that is moved. To the worker: contentSize, length of the ordering key, length of
 * the packed content (32 bits each), then both. From it: sequence and publish time (doubles), attempt and both lengths (32 bits), then both.
 */
const PUBLISH_HEADER = 12;
const DELIVERY_HEADER = 28;

/** Packs messages for the worker, in order. */
export function packPublish(messages: readonly MessageContent[]): ArrayBuffer {
  let bound = 0;
  for (const message of messages) bound += PUBLISH_HEADER + 3 * message.orderingKey.length + packedBound(message);
  const frames = Buffer.allocUnsafeSlow(bound);
  let at = 0;
  for (const message of messages) {
    const keyStart = at + PUBLISH_HEADER;
    const keyLength = message.orderingKey === "" ? 0 : frames.write(message.orderingKey, keyStart, "utf8");
    const end = packContent(message, frames, keyStart + keyLength);
    frames.writeUInt32LE(contentSize(message), at);
    frames.writeUInt32LE(keyLength, at + 4);
    frames.writeUInt32LE(end - keyStart - keyLength, at + 8);
    at = end;
  }
  return frames.buffer;
}

/** One message on its way into the database; `orderingKey` is null where there is none. */
export interface PublishFrame {
  size: number;
  orderingKey: Uint8Array | null;
  content: Uint8Array;
}

/** The frames that `packPublish` made, one after the other. */
export function* publishFrames(buffer: ArrayBuffer, count: number): Generator<PublishFrame> {
  const frames = Buffer.from(buffer);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const size = frames.readUInt32LE(at);
    const contentStart = at + PUBLISH_HEADER + frames.readUInt32LE(at + 4);
    const end = contentStart + frames.readUInt32LE(at + 8);
    const orderingKey = contentStart === at + PUBLISH_HEADER ? null : frames.subarray(at + PUBLISH_HEADER, contentStart);
    yield { size, orderingKey, content: frames.subarray(contentStart, end) };
    at = end;
  }
}

/** One message on its way out of the database. */
export interface DeliveryFrame {
  sequence: number;
  timeMs: number;
  attempt: number;
  orderingKey: Uint8Array | null;
  content: Uint8Array;
}

/** Packs deliveries for the adapter, in order. */
export function packDeliveries(deliveries: readonly DeliveryFrame[]): ArrayBuffer {
  let size = 0;
  for (const { orderingKey, content } of deliveries) size += DELIVERY_HEADER + (orderingKey?.length ?? 0) + content.length;
  const frames = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const { sequence, timeMs, attempt, orderingKey, content } of deliveries) {
    frames.writeDoubleLE(sequence, at);
    frames.writeDoubleLE(timeMs, at + 8);
    frames.writeUInt32LE(attempt, at + 16);
    frames.writeUInt32LE(orderingKey?.length ?? 0, at + 20);
    frames.writeUInt32LE(content.length, at + 24);
    at += DELIVERY_HEADER;
    if (orderingKey) frames.set(orderingKey, at);
    at += orderingKey?.length ?? 0;
    frames.set(content, at);
    at += content.length;
  }
  return frames.buffer;
}

/** What the deliveries of one subscription have in common. */
export interface DeliveryOrigin {
  brokerId: string;
  topic: string;
  /** The subscription's number, which stands in every ack id. */
  subscription: number;
}

/** The deliveries that `packDeliveries` packed. */
export function unpackDeliveries(buffer: ArrayBuffer, count: number, origin: DeliveryOrigin): Delivery[] {
  const frames = Buffer.from(buffer);
  const deliveries = new Array<Delivery>(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const keyStart = at + DELIVERY_HEADER;
    const contentStart = keyStart + frames.readUInt32LE(at + 20);
    const end = contentStart + frames.readUInt32LE(at + 24);
    deliveries[i] = unpackDelivery(frames, at, contentStart, end, origin);
    at = end;
  }
  return deliveries;
}

function unpackDelivery(frames: Buffer, at: number, contentStart: number, end: number, origin: DeliveryOrigin): Delivery {
  const sequence = frames.readDoubleLE(at);
  const attempt = frames.readUInt32LE(at + 16);
  const orderingKey = frames.toString("utf8", at + DELIVERY_HEADER, contentStart);
  const { payloadKind, payload, attributes, system, key, contentType } = unpackContent(frames, contentStart, end, orderingKey);
  return {
    ackId: ackIdOf({ sequence, attempt, subscription: origin.subscription }),
    attempt,
    message: {
      brokerId: origin.brokerId,
      brokerMessageId: String(sequence),
      topic: origin.topic,
      partition: "",
      sequence: BigInt(sequence),
      publishTimeUs: frames.readDoubleLE(at + 8) * 1000,
      payloadKind,
      payload,
      attributes,
      system,
      key,
      orderingKey,
      contentType,
    },
  };
}

/** One hand-over of one message. */
export interface Hand {
  sequence: number;
  attempt: number;
  subscription: number;
}

export function ackIdOf({ sequence, attempt, subscription }: Hand): string {
  return `${sequence}.${attempt}.${subscription}`;
}

const ACK_ID = /^(\d{1,16})\.(\d{1,10})\.(\d{1,10})$/;

/** The hand-overs of `subscription` that these ack ids name, as pairs for the worker, ascending and each once; others are left out. */
export function handsOf(ackIds: Iterable<string>, subscription: number): Float64Array {
  const hands: [sequence: number, attempt: number][] = [];
  for (const ackId of ackIds) {
    const parts = ACK_ID.exec(ackId);
    if (parts && Number(parts[3]) === subscription) hands.push([Number(parts[1]), Number(parts[2])]);
  }
  hands.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const distinct = hands.filter((hand, i) => i === 0 || hand[0] !== hands[i - 1]?.[0] || hand[1] !== hands[i - 1]?.[1]);
  return Float64Array.from(distinct.flat());
}
