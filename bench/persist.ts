import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StoredRecord } from "../shared/core/avro/stored-record.ts";
import { digestOf } from "../shared/core/digest.ts";
import { contentSize, type Message } from "../shared/core/message.ts";
import { persist } from "../shared/core/persist/persist.ts";
import type { Pipeline } from "../shared/core/pipeline.ts";
import { NO_LOG } from "../shared/core/ports/log.ts";
import { NO_METER } from "../shared/core/ports/meter.ts";
import { systemClock } from "../shared/runtime/clock.ts";
import { BATCH_MESSAGES, openPipeline } from "./lib/archive.ts";
import { writeBareObject } from "./lib/bare-objects.ts";
import { type Bench, RANGE_MESSAGES, spelled } from "./lib/context.ts";
import { messagesFrom } from "./lib/flights.ts";
import { inLanes, perSecond, timed } from "./lib/timing.ts";

const CALLS_IN_FLIGHT = 3;
const DEPS = { clock: systemClock, meter: NO_METER, log: NO_LOG };

/**
 * Persists messages that lie ready in memory, indexing off, in calls of 5,000. Each 100,000 is made ready first, outside the time, and is
 * written by the core and bare by turns, so that both see the same machine.
 */
export const measure: Bench = async ({ folder, count }, progress) => {
  const pipeline = await openPipeline(join(folder, "data"));
  const bareFolder = join(folder, "bare");
  const rounds = count / RANGE_MESSAGES;
  const sum = { persistMs: 0, bareMs: 0, bytes: 0, stored: 0 };
  await persistAll(pipeline, messagesFrom(count, RANGE_MESSAGES)); // Warms the code up.
  await writeBare(bareFolder, recordsOf(messagesFrom(count, RANGE_MESSAGES)));
  for (let round = 0; round < rounds; round++) {
    progress(`persisting: ${spelled(round * RANGE_MESSAGES)} of ${spelled(count)}`);
    const messages = messagesFrom(round * RANGE_MESSAGES, RANGE_MESSAGES);
    const records = recordsOf(messages);
    sum.bytes += messages.reduce((bytes, message) => bytes + contentSize(message), 0);
    const works = [
      async () => {
        const ms = await timed(() => persistAll(pipeline, messages));
        sum.persistMs += ms;
      },
      async () => {
        let stored = 0;
        const ms = await timed(async () => {
          stored = await writeBare(bareFolder, records);
        });
        sum.bareMs += ms;
        sum.stored += stored;
      },
    ];
    for (const work of round % 2 === 0 ? works : works.reverse()) await work();
    await rm(bareFolder, { recursive: true });
  }
  const rate = perSecond(count, sum.persistMs);
  const bareRate = perSecond(count, sum.bareMs);
  const megabytes = (ms: number) => perSecond(sum.bytes / 1e6, ms);
  return [
    {
      name: "persist from memory to files, indexing off",
      value: rate,
      unit: "messages/s",
      target: 150_000,
      better: "higher",
      limit: bareRate,
      info: [
        { name: "payload and attributes", value: megabytes(sum.persistMs), unit: "MB/s", limit: megabytes(sum.bareMs) },
        { name: "payload and attributes of one message", value: sum.bytes / count, unit: "bytes" },
        { name: "stored bytes of one message", value: sum.stored / count, unit: "bytes" },
      ],
    },
    {
      name: "persist: share of encode + zstd + write done bare",
      value: rate / bareRate,
      unit: "ratio",
      target: 0.6,
      better: "higher",
      limit: 1,
    },
  ];
};

async function persistAll(pipeline: Pipeline, messages: readonly Message[]): Promise<void> {
  await inLanes(CALLS_IN_FLIGHT, messages.length / BATCH_MESSAGES, async (i) => {
    const outcomes = await persist(pipeline, messages.slice(i * BATCH_MESSAGES, (i + 1) * BATCH_MESSAGES), DEPS);
    if (outcomes.some(({ kind }) => kind !== "stored")) throw new Error("persisting: a message was not stored");
  });
}

function recordsOf(messages: readonly Message[]): StoredRecord[] {
  return messages.map((message) => ({ message, digest: digestOf(message), ingestionTimeUs: message.publishTimeUs, pipeline: "flights" }));
}

async function writeBare(folder: string, records: readonly StoredRecord[]): Promise<number> {
  let bytes = 0;
  await inLanes(CALLS_IN_FLIGHT, records.length / BATCH_MESSAGES, async (i) => {
    const written = await writeBareObject(join(folder, `${i}.avro`), records.slice(i * BATCH_MESSAGES, (i + 1) * BATCH_MESSAGES));
    bytes += written;
  });
  return bytes;
}
