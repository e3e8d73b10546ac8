import { readFileSync } from "node:fs";
import { type Message, stringAttribute } from "../../shared/core/message.ts";

/** One record of the real flights that every bench sends. */
export interface Flight {
  date: string;
  delay: number;
  distance: number;
  origin: string;
  destination: string;
}

/** The topic, broker id, pipeline and collection of the flights in the default settings. */
export const FLIGHTS = "flights";
/** Publish time of message 0; each following one is a millisecond later. */
export const FIRST_PUBLISH_MS = Date.parse("2025-01-01T00:00:00Z");

const RECORDS = new URL("../../node_modules/vega-datasets/data/flights-20k.json", import.meta.url);
/** Other flights are added until one more would pass this. */
const PAYLOAD_BYTES = 1024;
const PAYLOAD_END = "]}";

let loaded: { flights: Flight[]; texts: string[] } | undefined;

function records(): { flights: Flight[]; texts: string[] } {
  if (!loaded) {
    const flights = JSON.parse(readFileSync(RECORDS, "utf8")) as Flight[];
    loaded = { flights, texts: flights.map((flight) => JSON.stringify(flight)) };
  }
  return loaded;
}

/** The 20,000 flights. Throws where the package `vega-datasets` is not installed. */
export function allFlights(): readonly Flight[] {
  return records().flights;
}

/** The flight that message `i` is about: they are cycled. */
function flightOf(i: number): Flight {
  const { flights } = records();
  return flights[i % flights.length] as Flight;
}

/** JSON of message `i`: its flight, and a history of others, picked all over the file, up to about 1 KiB. No two messages are alike. */
export function payloadText(i: number): string {
  const { texts } = records();
  let text = `${(texts[i % texts.length] as string).slice(0, -1)},"history":[${texts[mixed(i * 16) % texts.length]}`;
  for (let k = 1; ; k++) {
    const other = texts[mixed(i * 16 + k) % texts.length] as string;
    if (text.length + 1 + other.length + PAYLOAD_END.length > PAYLOAD_BYTES) return text + PAYLOAD_END;
    text += `,${other}`;
  }
}

/** A well spread number of 32 bits from a small one, the same at every run. */
export function mixed(n: number): number {
  let hash = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Message `i` as a broker would deliver it: payload of about 1 KiB and five attributes. */
export function messageAt(i: number): Message {
  const { origin, destination, delay, distance, date } = flightOf(i);
  return {
    brokerId: FLIGHTS,
    brokerMessageId: String(i),
    topic: FLIGHTS,
    partition: "",
    sequence: BigInt(i),
    publishTimeUs: (FIRST_PUBLISH_MS + i) * 1000,
    payloadKind: "bytes",
    payload: Buffer.from(payloadText(i)),
    attributes: [
      stringAttribute("origin", origin),
      stringAttribute("destination", destination),
      stringAttribute("delay", String(delay)),
      stringAttribute("distance", String(distance)),
      stringAttribute("date", date),
    ],
    system: [],
    key: null,
    orderingKey: "",
    contentType: "application/json",
  };
}

export function messagesFrom(first: number, count: number): Message[] {
  return Array.from({ length: count }, (_, i) => messageAt(first + i));
}

/** Message `i` as a line of NDJSON for the local host. */
export function eventLine(i: number): string {
  const { origin, destination, delay, distance, date } = flightOf(i);
  const attributes = { origin, destination, delay: String(delay), distance: String(distance), date };
  return `{"json":${payloadText(i)},"attributes":${JSON.stringify(attributes)}}\n`;
}
