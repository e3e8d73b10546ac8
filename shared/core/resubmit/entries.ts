import type { IndexRecord } from "../index-record.ts";
import type { WorkEntries } from "../ports/work-items.ts";

/** Where one message of a work item lies. */
export interface WorkEntry {
  id: string;
  /** Hex; empty where the index has none. */
  digest: string;
  store: string;
  key: string;
  codec: string;
  formatVersion: number;
  position: number;
  blockOffset: number;
  blockLength: number;
  blockPosition: number;
}

export function entryOf(record: IndexRecord): WorkEntry {
  return {
    id: record.unique_id,
    digest: record.digest,
    store: record.store,
    key: record.location_key,
    codec: record.codec,
    formatVersion: record.format_version,
    position: record.location_position,
    blockOffset: record.block_offset,
    blockLength: record.block_length,
    blockPosition: record.block_position,
  };
}

/** Packs entries into columns, naming each object once. */
export function packEntries(entries: readonly WorkEntry[]): WorkEntries {
  const objects: WorkEntries["objects"] = [];
  const known = new Map<string, number>();
  const object = entries.map(({ store, key, codec, formatVersion }) => {
    const name = `${store}\n${key}`;
    const found = known.get(name);
    if (found !== undefined) return found;
    known.set(name, objects.length);
    return objects.push({ store, key, codec, formatVersion }) - 1;
  });
  return {
    ids: entries.map(({ id }) => id),
    digests: entries.map(({ digest }) => digest),
    objects,
    object,
    positions: entries.map(({ position }) => position),
    blockOffsets: entries.map(({ blockOffset }) => blockOffset),
    blockLengths: entries.map(({ blockLength }) => blockLength),
    blockPositions: entries.map(({ blockPosition }) => blockPosition),
  };
}

export function unpackEntries(packed: WorkEntries): WorkEntry[] {
  return packed.ids.map((id, i) => {
    const { store, key, codec, formatVersion } = packed.objects[packed.object[i] as number] as WorkEntries["objects"][number];
    return {
      id,
      digest: packed.digests[i] as string,
      store,
      key,
      codec,
      formatVersion,
      position: packed.positions[i] as number,
      blockOffset: packed.blockOffsets[i] as number,
      blockLength: packed.blockLengths[i] as number,
      blockPosition: packed.blockPositions[i] as number,
    };
  });
}
