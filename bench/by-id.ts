import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { zstdDecompressSync } from "node:zlib";
import { open as openStore } from "../shared/adapters/stores/fs/adapter.ts";
import { readFrame } from "../shared/core/avro/block.ts";
import { type Codec, readRecord } from "../shared/core/avro/object-file.ts";
import { digestOf } from "../shared/core/digest.ts";
import type { IndexRecord } from "../shared/core/index-record.ts";
import type { ByteRange, ObjectStore } from "../shared/core/ports/object-store.ts";
import { type Archive, bareDatabase, openArchiveIndex } from "./lib/archive.ts";
import { archiveOf, type Bench } from "./lib/context.ts";
import { FLIGHTS, mixed } from "./lib/flights.ts";
import { percentiles, timed } from "./lib/timing.ts";

const SAMPLES = 1_000;
const WARM_UP = 50;

/** Single messages by random ids: index, one ranged read, decode. Fails where anything but the one block is read, or the message is another. */
export const measure: Bench = async (context, progress) => {
  const archive = archiveOf(context);
  const index = await openArchiveIndex(archive);
  const store = await openStore({}, archive);
  progress("reading single messages by id");
  const samplesMs: number[] = [];
  for (let i = 0; i < WARM_UP + SAMPLES; i++) {
    const id = idAt(i, archive);
    const { store: watched, reads } = watchReads(store);
    let read: { record: IndexRecord; digest: string } | undefined;
    const ms = await timed(async () => {
      read = await readMessage(id, index, watched);
    });
    checkRead(id, read, reads);
    if (i >= WARM_UP) samplesMs.push(ms);
  }
  await index.close();
  const limit = percentiles(await bareSamples(archive));
  const took = percentiles(samplesMs);
  return [
    {
      name: "one message by id out of a 5,000-message object, p99",
      value: took.p99,
      unit: "ms",
      target: 10,
      better: "lower",
      limit: limit.p99,
      info: [{ name: "p50", value: took.p50, unit: "ms", limit: limit.p50 }],
    },
  ];
};

function idAt(i: number, { count }: Archive): string {
  return `${FLIGHTS}_${mixed(i) % count}`;
}

/** Behind the others and not between them: what it leaves to the garbage collector must not be collected in their time. */
async function bareSamples(archive: Archive): Promise<number[]> {
  const bare = openBareReader(bareDatabase(archive), join(archive.dataDir, "objects"));
  const samplesMs: number[] = [];
  for (let i = 0; i < WARM_UP + SAMPLES; i++) {
    const ms = await timed(() => bare.read(idAt(i, archive)));
    if (i >= WARM_UP) samplesMs.push(ms);
  }
  bare.close();
  return samplesMs;
}

async function readMessage(id: string, index: Awaited<ReturnType<typeof openArchiveIndex>>, store: ObjectStore) {
  const [record] = await index.get(FLIGHTS, [id]);
  if (!record) throw new Error(`reading message ${id}: the index does not have it`);
  const { location_key, block_offset, block_length, block_position, codec } = record;
  const { bytes } = await store.get(location_key, { offset: block_offset, length: block_length });
  const stored = await readRecord(bytes, codec as Codec, block_position);
  return { record, digest: digestOf(stored.message).toString("hex") };
}

function watchReads(store: ObjectStore): { store: ObjectStore; reads: (ByteRange | undefined)[] } {
  const reads: (ByteRange | undefined)[] = [];
  const get: ObjectStore["get"] = (key, range) => {
    reads.push(range);
    return store.get(key, range);
  };
  return { store: { ...store, get }, reads };
}

function checkRead(id: string, read: { record: IndexRecord; digest: string } | undefined, reads: readonly (ByteRange | undefined)[]): void {
  if (!read || read.digest !== read.record.digest) throw new Error(`reading message ${id}: it is not the one that was persisted`);
  const [range] = reads;
  const isOneBlock = reads.length === 1 && range?.offset === read.record.block_offset && range.length === read.record.block_length;
  if (!isOneBlock) throw new Error(`reading message ${id}: not one block was read, but ${JSON.stringify(reads)}`);
}

/** The same by the bare table and synchronous calls: look up, read, decompress. */
function openBareReader(file: string, objects: string): { read(id: string): Buffer; close(): void } {
  const database = new DatabaseSync(file, { readOnly: true });
  const select = database.prepare("SELECT location_key, block_offset, block_length FROM record WHERE unique_id = ?");
  return {
    read(id) {
      const place = select.get(id) as { location_key: string; block_offset: number; block_length: number };
      const bytes = Buffer.allocUnsafe(place.block_length);
      const handle = openSync(join(objects, place.location_key), "r");
      readSync(handle, bytes, 0, bytes.length, place.block_offset);
      closeSync(handle);
      const { dataStart, dataEnd } = readFrame(bytes, 0);
      return zstdDecompressSync(bytes.subarray(dataStart, dataEnd));
    },
    close: () => database.close(),
  };
}
