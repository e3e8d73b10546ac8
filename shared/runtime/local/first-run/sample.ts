import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { stringAttribute } from "../../../core/message.ts";
import type { OutgoingMessage } from "../../../core/ports/publisher.ts";

/** The sample records of one topic; `recordId` is the attribute that names each record. */
export interface SampleTopic {
  topic: string;
  recordId: string;
  messages: { id: string; message: OutgoingMessage }[];
}

interface Earthquake {
  id: string;
  properties: Record<string, string | number | null> & { time: number };
}

interface Flight {
  date: string;
  delay: number;
  distance: number;
  origin: string;
  destination: string;
}

/** Reads the records of the `vega-datasets` package: a week of USGS earthquakes and 20,000 flights; undefined where it is not installed. */
export async function loadSample(): Promise<SampleTopic[] | undefined> {
  const folder = sampleFolder();
  if (!folder) return undefined;
  const { features } = JSON.parse(await readFile(join(folder, "earthquakes.json"), "utf8")) as { features: Earthquake[] };
  const flights = JSON.parse(await readFile(join(folder, "flights-20k.json"), "utf8")) as Flight[];
  return [
    { topic: "earthquakes", recordId: "event", messages: features.map(earthquakeMessage) },
    { topic: "flights", recordId: "record", messages: flights.map(flightMessage) },
  ];
}

/** The package names no data files among its exports, so its folder is looked for as Node does. */
function sampleFolder(): string | undefined {
  const searched = createRequire(import.meta.url).resolve.paths("vega-datasets") ?? [];
  return searched.map((path) => join(path, "vega-datasets", "data")).find((path) => existsSync(join(path, "earthquakes.json")));
}

function earthquakeMessage(quake: Earthquake) {
  const { mag, magType, net, type, place, status, sig, time } = quake.properties;
  const attributes = { event: quake.id, magnitude: mag, magnitude_type: magType, network: net, type, place, status, significance: sig };
  return { id: quake.id, message: jsonMessage(quake, { ...attributes, time: new Date(time).toISOString() }) };
}

function flightMessage(flight: Flight, row: number) {
  const { origin, destination, delay, distance, date } = flight;
  const id = String(row + 1);
  return { id, message: jsonMessage(flight, { record: id, origin, destination, delay, distance, date }) };
}

function jsonMessage(value: unknown, attributes: Record<string, string | number | null | undefined>): OutgoingMessage {
  const given = Object.entries(attributes).filter(([, text]) => text !== null && text !== undefined);
  return {
    payloadKind: "bytes",
    payload: Buffer.from(JSON.stringify(value)),
    attributes: given.map(([name, text]) => stringAttribute(name, String(text))),
    system: [],
    key: null,
    orderingKey: "",
    contentType: "application/json",
  };
}
