import { expect, type TestContext } from "vitest";
import { open as openStore } from "../../shared/adapters/stores/fs/adapter.ts";
import { readObject } from "../../shared/core/avro/object-file.ts";
import { redriven } from "../../shared/core/dead-letter/dead-letter.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type Message, textAttribute } from "../../shared/core/message.ts";
import type { Rig } from "./support-kafka.ts";
import type { Local } from "./support-local.ts";

export interface StoredMessage {
  /** `<partition>-<offset>` */
  id: string;
  /** Taken of what was read, hexadecimal. */
  digest: string;
}

/** One message in one object of the store. */
export interface StoredCopy extends StoredMessage {
  key: string;
  position: number;
}

/** Reads each object once: they do not change. What is of other topics, such as stored dead letters, is left out. */
export function createStoreReader(dir: string, topic: string): () => Promise<StoredCopy[]> {
  const known = new Map<string, StoredCopy[]>();
  return async () => {
    const store = await openStore({ dir }, { dataDir: dir });
    for await (const { key } of store.list("")) {
      if (known.has(key)) continue;
      const copies: StoredCopy[] = [];
      for await (const block of readObject((await store.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
        if ("fault" in block) throw block.fault.error;
        for (const { record, location } of block.records) {
          if (record.message.topic !== topic) continue;
          const digest = digestOf(record.message).toString("hex");
          if (digest !== record.digest.toString("hex")) throw new Error(`reading ${key}: a message is not what its digest says`);
          copies.push({ id: record.message.brokerMessageId, digest, key, position: location.position });
        }
      }
      known.set(key, copies);
    }
    await store.close();
    return [...known.values()].flat();
  };
}

/** What the messages of a dead-letter topic were before. */
export function lettersOf(messages: readonly Message[]): Promise<StoredMessage[]> {
  return Promise.all(
    messages.map(async (message) => {
      const digest = digestOf(await redriven(message, () => undefined)).toString("hex");
      return { id: textAttribute(message.attributes, "persistor-message-id")?.split("_")[1] ?? "", digest };
    }),
  );
}

/** What a run came to, and what is wrong with it: all of `faults` are lists of ids, the first ones. */
export interface Verdict {
  published: number;
  /** Messages of the store, each counted as often as it lies there. */
  copies: number;
  deadLetters: number;
  indexed: number;
  faults: Record<"lost" | "altered" | "double" | "unindexed" | "misplaced" | "unknown", string[]>;
}

const NO_FAULTS: Verdict["faults"] = { lost: [], altered: [], double: [], unindexed: [], misplaced: [], unknown: [] };
const SHOWN = 10;

/** Compares what was published with the store and the index. */
async function judge(rig: Rig, local: Local): Promise<Verdict> {
  const { sent, unplaced, tried } = rig.writer;
  const copies = await rig.stored();
  const records = await local.records("orders");
  const letters = await rig.deadLetters();
  const byId = digestsById(copies);
  const kept = digestsById([...copies, ...letters]);
  const anywhere = new Set(copies.map(({ digest }) => digest));
  const pairs = [...sent].flatMap(([id, digests]) => [...digests].map((digest) => ({ id, digest })));
  const places = new Set(copies.map(({ id, digest, key, position }) => `${id} ${digest} ${key} ${position}`));
  const indexed = new Set(records.map(({ broker_msg_id, digest }) => `${broker_msg_id} ${digest}`));
  const nameOf = (id: string, digest: string) => [`${rig.topic}_${id}`, `${rig.topic}_${id}#${digest.slice(0, 16)}`];
  const plain = new Set(records.map(({ unique_id }) => unique_id));
  const faults = {
    lost: [
      ...pairs.filter(({ id, digest }) => !kept.get(id)?.has(digest)).map(({ id }) => id),
      ...unplaced.filter((one) => !anywhere.has(one)),
    ],
    altered: [...copies, ...letters].filter(({ digest }) => !tried.has(digest)).map(({ id }) => id),
    double: records.length === indexed.size ? [] : repeated(records.map(({ broker_msg_id, digest }) => `${broker_msg_id} ${digest}`)),
    unindexed: [...byId].flatMap(([id, digests]) => [...digests].filter((digest) => !indexed.has(`${id} ${digest}`)).map(() => id)),
    misplaced: records
      .filter((one) => !places.has(`${one.broker_msg_id} ${one.digest} ${one.location_key} ${one.location_position}`))
      .map(({ unique_id }) => unique_id),
    // The first of an id has the id itself for its name, the others have their digest behind it.
    unknown: records
      .filter(({ unique_id, broker_msg_id, digest }) => {
        const [own, variant] = nameOf(broker_msg_id, digest) as [string, string];
        return !plain.has(own) || (unique_id !== own && (unique_id !== variant || byId.get(broker_msg_id)?.size === 1));
      })
      .map(({ unique_id }) => unique_id),
  };
  return {
    published: pairs.length + unplaced.length,
    copies: copies.length,
    deadLetters: letters.length,
    indexed: records.length,
    faults: Object.fromEntries(Object.entries(faults).map(([name, ids]) => [name, ids.slice(0, SHOWN)])) as Verdict["faults"],
  };
}

/** The messages below the committed offsets that are not among those that were kept. */
export function missingBelow(
  committed: ReadonlyMap<number, number>,
  sent: ReadonlyMap<string, ReadonlySet<string>>,
  kept: readonly StoredMessage[],
): string[] {
  const byId = digestsById(kept);
  return [...sent]
    .filter(([id, digests]) => {
      const [partition, offset] = id.split("-").map(Number) as [number, number];
      return offset < (committed.get(partition) ?? 0) && ![...digests].every((digest) => byId.get(id)?.has(digest));
    })
    .map(([id]) => id);
}

function digestsById(copies: readonly StoredMessage[]): Map<string, Set<string>> {
  const byId = new Map<string, Set<string>>();
  for (const { id, digest } of copies) byId.set(id, (byId.get(id) ?? new Set()).add(digest));
  return byId;
}

function repeated(names: readonly string[]): string[] {
  return [...Map.groupBy(names, (name) => name)].flatMap(([name, all]) => (all.length > 1 ? [name] : []));
}

/** Ends the writing, works off what is left in `local`, by default one that is opened for it, and expects every message to be there, once in the index. */
export async function expectWhole(rig: Rig, annotate: TestContext["annotate"], local?: Local): Promise<Verdict> {
  await rig.writer.stop();
  const last = local ?? (await rig.open());
  try {
    await rig.drained(last);
    const verdict = await judge(rig, last);
    const { faults, ...counts } = verdict;
    await annotate(JSON.stringify(counts));
    expect(faults).toEqual(NO_FAULTS);
    expect(counts.published).toBeGreaterThan(0);
    return verdict;
  } finally {
    if (!local) await last.dispose();
  }
}
