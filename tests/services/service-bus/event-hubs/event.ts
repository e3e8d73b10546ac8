import { long, section, sectionHead, string, symbol, timestamp } from "../amqp-bytes.ts";
import { DELIVERY_ANNOTATIONS, HEADER, MESSAGE_ANNOTATIONS, type SentMessage } from "../message.ts";

/** An event of a partition. */
export interface StoredEvent extends SentMessage {
  sequence: number;
  /** Where its bytes begin, had all of the partition been written one after the other. */
  offset: number;
  enqueuedAtMs: number;
}

/** The last event of a partition, as receivers may ask to be told with each event. */
export interface LastEnqueued {
  sequence: number;
  offset: string;
  enqueuedAtMs: number;
}

const SEQUENCE_NUMBER = symbol("x-opt-sequence-number");
const OFFSET = symbol("x-opt-offset");
const ENQUEUED_TIME = symbol("x-opt-enqueued-time");

/** The event as a receiver gets it: with the broker's annotations before the bare message. */
export function encodeEvent({ header, annotations, bare, sequence, offset, enqueuedAtMs }: StoredEvent, last?: LastEnqueued): Buffer {
  const own = [SEQUENCE_NUMBER, long(sequence), OFFSET, string(String(offset)), ENQUEUED_TIME, timestamp(enqueuedAtMs)];
  const all = [...annotations, ...own];
  const parts = [sectionHead(MESSAGE_ANNOTATIONS, "map", all), ...all];
  if (last) parts.unshift(section(DELIVERY_ANNOTATIONS, "map", metricsOf(last)));
  if (header.length > 0) parts.unshift(section(HEADER, "list", header));
  for (const { bytes } of bare) parts.push(bytes);
  return Buffer.concat(parts);
}

const metricsOf = ({ sequence, offset, enqueuedAtMs }: LastEnqueued): Buffer[] => [
  symbol("last_enqueued_sequence_number"),
  long(sequence),
  symbol("last_enqueued_offset"),
  string(offset),
  symbol("last_enqueued_time_utc"),
  timestamp(enqueuedAtMs),
  symbol("runtime_info_retrieval_time_utc"),
  timestamp(Date.now()),
];
