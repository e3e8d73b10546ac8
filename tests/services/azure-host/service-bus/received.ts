import { type DecodedMessage, decodeMessage, withDeliveryAnnotations } from "../amqp/message.ts";
import type { RawDelivery } from "../amqp/raw-receiver.ts";
import { MAX_DATE_TIME_TEXT } from "../dotnet.ts";
import type { ModelBindingData } from "../rpc.ts";

/** A message of Service Bus that the host holds the lock of, as .NET's ServiceBusReceivedMessage shows it. */
export interface ReceivedMessage {
  delivery: RawDelivery;
  decoded: DecodedMessage;
  /** The GUID of the lock, in RFC 4122 text. */
  lockToken: string;
  sequenceNumber: bigint;
  enqueuedAtMs: number;
  /** Undefined: never. */
  expiresAtMs: number | undefined;
  /** Counts the present delivery too: the SDK adds 1 to the header's (AmqpMessageConverter). */
  deliveryCount: number;
  /** Undefined: no such annotation. */
  lockedUntilMs: number | undefined;
}

/** Ticks of DateTimeOffset.MaxValue, in milliseconds. */
const MAX_TIME_MS = Date.parse(`${MAX_DATE_TIME_TEXT.slice(0, 23)}Z`);
const LOCK_TOKEN_KEY = "x-opt-lock-token";

export function receivedMessage(delivery: RawDelivery): ReceivedMessage {
  const decoded = decodeMessage(delivery.bytes);
  const { annotations, header, properties } = decoded;
  const timeMs = (name: string) => (typeof annotations.get(name) === "string" ? Date.parse(annotations.get(name) as string) : undefined);
  const enqueuedAtMs = timeMs("x-opt-enqueued-time") ?? 0;
  const expiresAtMs = properties.absoluteExpiryMs ?? (header.ttlMs === undefined ? undefined : enqueuedAtMs + header.ttlMs);
  return {
    delivery,
    decoded,
    lockToken: uuidOf(delivery.tag).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    sequenceNumber: BigInt((annotations.get("x-opt-sequence-number") as bigint | undefined) ?? 0),
    enqueuedAtMs,
    expiresAtMs: expiresAtMs !== undefined && expiresAtMs < MAX_TIME_MS ? expiresAtMs : undefined,
    deliveryCount: header.deliveryCount + 1,
    lockedUntilMs: timeMs("x-opt-locked-until"),
  };
}

/** The hexadecimal digits of a delivery's tag in RFC 4122 order: a tag has .NET's order of bytes. */
function uuidOf(tag: Buffer): string {
  const swapped = Buffer.from(tag);
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  return swapped.toString("hex");
}

export const lockUuid = ({ delivery }: ReceivedMessage): Buffer => Buffer.from(uuidOf(delivery.tag), "hex");

/**
 * What the SDK binding sends (azure-sdk-for-net ServiceBusExtensionConfigProvider.ConvertReceivedMessageToBindingData): the 16 bytes of the
 * lock token in .NET's order, then the encoded message. Its delivery annotations name the token once more; the Node extension
 * (ServiceBusMessageDecoder) looks for that name and decodes what lies behind it, so that the header before it, with the delivery count
 * and the time to live, is lost to the function, and rhea warns of the bare value that it meets first.
 */
export function bindingDataOf(message: ReceivedMessage): ModelBindingData {
  const { delivery } = message;
  const key = Buffer.from(LOCK_TOKEN_KEY);
  const items = Buffer.concat([Buffer.of(0xa3, key.length), key, Buffer.of(0x98), lockUuid(message)]);
  const annotations = Buffer.concat([Buffer.of(0x00, 0x53, 0x71, 0xc1, items.length + 1, 2), items]);
  return {
    version: "1.0",
    source: "AzureServiceBusReceivedMessage",
    contentType: "application/octet-stream",
    content: Buffer.concat([delivery.tag, withDeliveryAnnotations(delivery.bytes, annotations)]),
  };
}
