import type { Message } from "@platformatic/kafka";
import { bytesArrayOf, jsonOf, longsOf, type Typed, textOf, textsOf, toJson, utcText } from "../dotnet.ts";
import type { TriggerInput } from "../executor.ts";
import { lossyText, type PayloadForm, withPayloadProperties } from "../payload.ts";
import type { Capabilities } from "../rpc.ts";

/** As it is on the wire: a key or a value that is null comes as null. */
export type KafkaRecord = Message<Buffer, Buffer, Buffer, Buffer>;

// azure-functions-kafka-extension Trigger/KafkaTriggerBindingStrategy.cs and KafkaEventDataConvertManager.cs.

/** With `binary` the values alone, of which tombstones drop out; with `string` each record as JSON in a text. */
export function batchInputOf(records: readonly KafkaRecord[], form: PayloadForm, capabilities: Capabilities): TriggerInput {
  const data = form === "binary" ? bytesArrayOf(records.map(valueIn)) : textsOf(records.map(eventDataOf), capabilities);
  return {
    data,
    metadata: {
      PartitionArray: jsonOf(records.map(({ partition }) => partition)),
      OffsetArray: longsOf(records.map(({ offset }) => offset)),
      TimestampArray: jsonOf(records.map(timeOf)),
      TopicArray: textsOf(
        records.map(({ topic }) => topic),
        capabilities,
      ),
      KeyArray: jsonOf(records.map(keyOf)),
      HeadersArray: jsonOf(records.map(headersOf)),
    },
  };
}

export function inputOf(record: KafkaRecord, form: PayloadForm): TriggerInput {
  const value = valueIn(record);
  const data: Typed = form === "binary" ? (value === null ? undefined : { bytes: value }) : textOf(eventDataOf(record));
  const metadata: Record<string, Typed> = {
    Key: textOf(keyOf(record)),
    Partition: jsonOf(record.partition),
    Topic: textOf(record.topic),
    Timestamp: jsonOf(timeOf(record)),
    Offset: jsonOf(record.offset),
    Headers: jsonOf(headersOf(record)),
  };
  return { data, metadata: withPayloadProperties(metadata, data) };
}

/** KafkaEventData in Newtonsoft's JSON: key and value are lossy UTF-8, header values base64. */
const eventDataOf = (record: KafkaRecord): string =>
  toJson({
    Key: keyOf(record),
    Offset: record.offset,
    Partition: record.partition,
    Topic: record.topic,
    Headers: headersOf(record),
    Timestamp: timeOf(record),
    Value: textIn(valueIn(record)),
  });

const textIn = (bytes: Uint8Array | null): string | null => (bytes === null ? null : lossyText(bytes));

const valueIn = ({ value }: KafkaRecord): Buffer | null => value ?? null;

const keyOf = ({ key }: KafkaRecord): string | null => textIn(key ?? null);

const headersOf = ({ headerEntries }: KafkaRecord) =>
  headerEntries.map(([key, value]) => ({ Key: textIn(key), Value: (value as Buffer | null)?.toString("base64") ?? null }));

const timeOf = ({ timestamp }: KafkaRecord): string => utcText(Number(timestamp));
