import { type DecodedMessage, decodeMessage } from "../amqp/message.ts";
import { dateTimeText, jsonOf, longsOf, type Typed, textOf, textsOf } from "../dotnet.ts";
import type { TriggerInput } from "../executor.ts";
import { manyPayloads, onePayload, type PayloadForm, withPayloadProperties } from "../payload.ts";
import type { Capabilities } from "../rpc.ts";

/** An event, as .NET's EventData shows it. */
export interface HubEvent {
  decoded: DecodedMessage;
  sequenceNumber: bigint;
  offset: string;
  enqueuedAtMs: number;
  partitionKey: string | undefined;
}

export interface PartitionIdentity {
  FullyQualifiedNamespace: string;
  EventHubName: string;
  ConsumerGroup: string;
  PartitionId: string;
  IsCheckpointingAfterInvocation: boolean;
}

export function hubEvent(bytes: Buffer): HubEvent {
  const decoded = decodeMessage(bytes);
  const { annotations } = decoded;
  const partitionKey = annotations.get("x-opt-partition-key");
  return {
    decoded,
    sequenceNumber: BigInt((annotations.get("x-opt-sequence-number") as bigint | undefined) ?? 0),
    offset: String(annotations.get("x-opt-offset") ?? ""),
    enqueuedAtMs: Date.parse(String(annotations.get("x-opt-enqueued-time"))),
    partitionKey: partitionKey === undefined || partitionKey === null ? undefined : String(partitionKey),
  };
}

// azure-sdk-for-net Microsoft.Azure.WebJobs.Extensions.EventHubs, Triggers/EventHubTriggerBindingStrategy.cs.

export function batchInputOf(
  events: readonly HubEvent[],
  form: PayloadForm,
  partition: PartitionIdentity,
  capabilities: Capabilities,
): TriggerInput {
  const texts = (get: (event: HubEvent) => string | undefined) => textsOf(events.map(get), capabilities);
  return {
    data: manyPayloads(form, events.map(bodyOf), capabilities),
    metadata: {
      ...contextOf(partition),
      PartitionKeyArray: texts(({ partitionKey }) => partitionKey),
      OffsetArray: texts(numericOffset),
      OffsetStringArray: texts(({ offset }) => offset),
      SequenceNumberArray: longsOf(events.map(({ sequenceNumber }) => sequenceNumber)),
      EnqueuedTimeUtcArray: jsonOf(events.map(({ enqueuedAtMs }) => dateTimeText(enqueuedAtMs))),
      PropertiesArray: jsonOf(events.map(propertiesOf)),
      SystemPropertiesArray: jsonOf(events.map(systemPropertiesOf)),
    },
  };
}

export function inputOf(event: HubEvent, form: PayloadForm, partition: PartitionIdentity): TriggerInput {
  const data = onePayload(form, bodyOf(event));
  const metadata: Record<string, Typed> = {
    ...contextOf(partition),
    PartitionKey: textOf(event.partitionKey),
    Offset: textOf(numericOffset(event)),
    OffsetString: textOf(event.offset),
    SequenceNumber: jsonOf(event.sequenceNumber),
    EnqueuedTimeUtc: jsonOf(dateTimeText(event.enqueuedAtMs)),
    Properties: jsonOf(propertiesOf(event)),
    SystemProperties: jsonOf(systemPropertiesOf(event)),
  };
  return { data, metadata: withPayloadProperties(metadata, data) };
}

const contextOf = (partition: PartitionIdentity) => ({ PartitionContext: jsonOf(partition), TriggerPartitionContext: jsonOf(partition) });

const propertiesOf = ({ decoded }: HubEvent) => Object.fromEntries(decoded.applicationProperties);

/** Where an offset is no number, .NET says -1. */
const numericOffset = ({ offset }: HubEvent): string => (/^-?\d+$/.test(offset) ? offset : "-1");

/** The broker's annotations and the message's own properties, and once more those that bindings have always had. */
function systemPropertiesOf({ decoded, sequenceNumber, offset, enqueuedAtMs, partitionKey }: HubEvent): Record<string, unknown> {
  const { messageId, to, subject, replyTo, correlationId, contentType, groupId, replyToGroupId } = decoded.properties;
  const named = {
    "message-id": messageId,
    to,
    subject,
    "reply-to": replyTo,
    "correlation-id": correlationId,
    "content-type": contentType,
    "group-id": groupId,
    "reply-to-group-id": replyToGroupId,
  };
  return {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    ...Object.fromEntries(decoded.annotations),
    SequenceNumber: sequenceNumber,
    Offset: offset,
    PartitionKey: partitionKey ?? null,
    EnqueuedTimeUtc: dateTimeText(enqueuedAtMs),
  };
}

function bodyOf({ decoded: { body } }: HubEvent): Uint8Array {
  if (body.kind === "data") return body.bytes;
  throw new Error(`The body of the event is of kind '${body.kind}', which EventData.EventBody does not give.`);
}
