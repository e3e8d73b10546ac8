import { app, type EventGridEvent } from "@azure/functions";
import { metadataMillis, metadataText } from "../../adapters/support/trigger-metadata.ts";
import { sha256Hex } from "../../core/digest.ts";
import { type Message, NO_SEQUENCE, payloadContent, stringAttribute } from "../../core/message.ts";
import type { FunctionProcess } from "../function-process.ts";
import { outcomesOf } from "./outcomes.ts";
import type { Reading } from "./readings.ts";

/** Registers a webhook for the events of an Event Grid subscription; one that cannot be stored now is delivered again. */
export function registerEventGrid(process: FunctionProcess, reading: Reading): void {
  app.eventGrid(reading.name, {
    async handler(event: EventGridEvent): Promise<void> {
      const message = messageOfEvent(event as unknown as Record<string, unknown>, reading, process.clock.nowMs());
      const [outcome] = await outcomesOf(reading, [message]);
      if (outcome?.kind === "released") throw outcome.error;
    },
  });
}

/** Attributes by the field of an event that they come from, in both schemas. */
const FIELDS = [
  "id",
  "source",
  "topic",
  "subject",
  "type",
  "eventType",
  "time",
  "eventTime",
  "dataVersion",
  "metadataVersion",
  "specversion",
  "dataschema",
] as const;

/**
 * An event as a message: its data as the payload, in JSON as the worker parsed it; all else as attributes. Its identity is its source and id, in
 * the schema of Event Grid (https://learn.microsoft.com/azure/event-grid/event-schema) or of CloudEvents
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
 */
export function messageOfEvent(
  event: Readonly<Record<string, unknown>>,
  { id, topic }: { id: string; topic: string },
  nowMs: number,
): Message {
  const source = metadataText(event["source"] ?? event["topic"]);
  const eventId = metadataText(event["id"]);
  const timeMs = metadataMillis(event["time"] ?? event["eventTime"]) || nowMs;
  const { payload, contentType } = dataOf(event);
  const content = payloadContent(payload);
  return {
    ...content,
    brokerId: id,
    brokerMessageId: source === "" && eventId === "" ? `unnamed-${sha256Hex(JSON.stringify(event)).slice(0, 32)}` : `${source}#${eventId}`,
    topic,
    partition: "",
    sequence: NO_SEQUENCE,
    publishTimeUs: timeMs * 1000,
    contentType,
    attributes: [
      ...FIELDS.filter((name) => event[name] !== undefined && event[name] !== null).map((name) =>
        stringAttribute(name, metadataText(event[name])),
      ),
      ...extensionsOf(event),
    ],
  };
}

const CLOUD_EVENT_FIELDS: ReadonlySet<string> = new Set([...FIELDS, "data", "data_base64", "datacontenttype"]);

/** CloudEvents may carry attributes of their own. */
function extensionsOf(event: Readonly<Record<string, unknown>>) {
  return Object.entries(event).flatMap(([name, value]) =>
    CLOUD_EVENT_FIELDS.has(name) || value === null || value === undefined ? [] : [stringAttribute(name, metadataText(value))],
  );
}

function dataOf({ data, data_base64: base64, datacontenttype }: Readonly<Record<string, unknown>>): {
  payload: Uint8Array;
  contentType: string;
} {
  const contentType = typeof datacontenttype === "string" ? datacontenttype : "application/json";
  if (typeof base64 === "string") return { payload: Buffer.from(base64, "base64"), contentType };
  if (data === undefined) return { payload: new Uint8Array(0), contentType };
  const isText = typeof data === "string" && !/json/i.test(contentType);
  return { payload: Buffer.from(isText ? data : JSON.stringify(data)), contentType };
}
