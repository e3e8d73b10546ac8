import { dateTimeOffsetText, dateTimeText, jsonOf, longsOf, MAX_DATE_TIME_TEXT, type Typed, textOf, textsOf } from "../dotnet.ts";
import type { Capabilities } from "../rpc.ts";
import type { ReceivedMessage } from "./received.ts";

// azure-sdk-for-net Microsoft.Azure.WebJobs.Extensions.ServiceBus, Triggers/ServiceBusTriggerBindingStrategy.cs. The objects that only .NET
// functions can use (MessageActions, ReceiveActions, Client …) are left out.

const utc = (ms: number | undefined) => (ms === undefined ? MAX_DATE_TIME_TEXT : dateTimeText(ms));
const offset = (ms: number | undefined) => (ms === undefined ? `${MAX_DATE_TIME_TEXT}+00:00` : dateTimeOffsetText(ms));
const annotation = (name: string) => (message: ReceivedMessage) => {
  const value = message.decoded.annotations.get(name);
  return value === undefined || value === null ? undefined : String(value);
};
const properties = ({ decoded }: ReceivedMessage) => Object.fromEntries(decoded.applicationProperties);
const partitionKey = annotation("x-opt-partition-key");

const TEXTS: Readonly<Record<string, (message: ReceivedMessage) => string | undefined>> = {
  DeadLetterSource: annotation("x-opt-deadletter-source"),
  LockToken: ({ lockToken }) => lockToken,
  MessageId: ({ decoded }) => decoded.properties.messageId,
  ContentType: ({ decoded }) => decoded.properties.contentType,
  ReplyTo: ({ decoded }) => decoded.properties.replyTo,
  To: ({ decoded }) => decoded.properties.to,
  Subject: ({ decoded }) => decoded.properties.subject,
  Label: ({ decoded }) => decoded.properties.subject,
  CorrelationId: ({ decoded }) => decoded.properties.correlationId,
  SessionId: ({ decoded }) => decoded.properties.groupId,
  ReplyToSessionId: ({ decoded }) => decoded.properties.replyToGroupId,
  PartitionKey: partitionKey,
};

const VALUES: Readonly<Record<string, (message: ReceivedMessage) => unknown>> = {
  DeliveryCount: ({ deliveryCount }) => deliveryCount,
  ExpiresAtUtc: ({ expiresAtMs }) => utc(expiresAtMs),
  ExpiresAt: ({ expiresAtMs }) => offset(expiresAtMs),
  EnqueuedTimeUtc: ({ enqueuedAtMs }) => utc(enqueuedAtMs),
  EnqueuedTime: ({ enqueuedAtMs }) => offset(enqueuedAtMs),
  ApplicationProperties: properties,
  UserProperties: properties,
};

/** Of one message: texts, and JSON of everything else, the sequence number included. */
export function metadataOf(message: ReceivedMessage): Record<string, Typed> {
  const all = { ...TEXTS, TransactionPartitionKey: annotation("x-opt-via-partition-key") };
  return {
    ...Object.fromEntries(Object.entries(all).map(([name, get]) => [name, textOf(get(message))])),
    ...Object.fromEntries(Object.entries(VALUES).map(([name, get]) => [name, jsonOf(get(message))])),
    SequenceNumber: jsonOf(message.sequenceNumber),
  };
}

/** Of a batch: an array of each; `TransactionPartitionKeyArray` holds partition keys there, as in the source. */
export function batchMetadataOf(messages: readonly ReceivedMessage[], capabilities: Capabilities): Record<string, Typed> {
  const texts = (get: (message: ReceivedMessage) => string | undefined) => textsOf(messages.map(get), capabilities);
  return {
    ...Object.fromEntries(Object.entries(TEXTS).map(([name, get]) => [`${name}Array`, texts(get)])),
    ...Object.fromEntries(Object.entries(VALUES).map(([name, get]) => [`${name}Array`, jsonOf(messages.map(get))])),
    SequenceNumberArray: longsOf(messages.map(({ sequenceNumber }) => sequenceNumber)),
    TransactionPartitionKeyArray: texts(partitionKey),
  };
}
