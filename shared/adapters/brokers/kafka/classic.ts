import { isUtf8 } from "node:buffer";
import { InvalidInput } from "../../../core/errors.ts";
import { type Attribute, binaryAttribute, type Message, nullAttribute, stringAttribute } from "../../../core/message.ts";
import { metadataList, metadataMillis, metadataText, metadataWhole } from "../../support/trigger-metadata.ts";

/** What tells whose messages these are. */
export interface TriggerOrigin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
}

/**
 * Reads what the Kafka trigger of Azure Functions gives with dataType binary: values as bytes, and lists beside them. It makes text of every key, and
 * does not tell an absent key from an empty one. Throws InvalidInput where the lists are not those of the values, as they are not where a record has
 * no value.
 */
export function decodeClassic(
  values: readonly Uint8Array[],
  metadata: Readonly<Record<string, unknown>>,
  { id, topic }: TriggerOrigin,
): Message[] {
  const offsets = metadataList(metadata, "offsetArray");
  const partitions = metadataList(metadata, "partitionArray");
  checkLists(values.length, offsets.length, partitions.length);
  const [keys, timestamps, headers] = ["keyArray", "timestampArray", "headersArray"].map((list) => metadataList(metadata, list));
  return values.map((value, i): Message => {
    const { value: offset } = metadataWhole(offsets[i]);
    const key = metadataText(keys?.[i]);
    return {
      brokerId: id,
      brokerMessageId: `${partitions[i]}-${offset}`,
      topic,
      partition: String(partitions[i]),
      sequence: offset,
      publishTimeUs: metadataMillis(timestamps?.[i]) * 1000,
      payloadKind: "bytes",
      payload: value,
      attributes: headersOf(headers?.[i]),
      system: [],
      key: key === "" ? null : Buffer.from(key),
      orderingKey: "",
      contentType: "",
    };
  });
}

/** A record without a value drops out of the values, and nothing tells which: those behind it would get the keys and offsets of others. */
function checkLists(values: number, offsets: number, partitions: number): void {
  const reading = "reading a batch of the Kafka trigger";
  if (values < offsets && offsets === partitions) {
    throw new InvalidInput(
      `${reading}: ${offsets - values} of ${offsets} records have no value, which it cannot tell apart from others; set source.binding to drain, which goes on from here`,
    );
  }
  if (values !== offsets || values !== partitions) {
    throw new InvalidInput(
      `${reading}: ${values} values came with ${offsets} offsets and ${partitions} partitions; have the trigger take dataType binary`,
    );
  }
}

function headersOf(list: unknown): Attribute[] {
  return Array.isArray(list) ? list.map(headerOf) : [];
}

/** The worker writes the first letter of a name small. */
function headerOf(header: unknown): Attribute {
  const { key, Key = key, value, Value = value } = (header ?? {}) as Record<string, unknown>;
  const name = metadataText(Key);
  if (typeof Value !== "string") return nullAttribute(name);
  const bytes = Buffer.from(Value, "base64");
  return isUtf8(bytes) ? stringAttribute(name, bytes.toString("utf8")) : binaryAttribute(name, bytes);
}
