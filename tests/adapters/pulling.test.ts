import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { type AssignedPartition, createPartition } from "../../shared/adapters/brokers/event-hubs/source/partition.ts";
import { createOpenSources } from "../../shared/adapters/support/open-sources.ts";
import type { Taken } from "../../shared/adapters/support/pulling/gathering.ts";
import { createHolding } from "../../shared/adapters/support/pulling/holding.ts";
import { contentSize, type Message } from "../../shared/core/message.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { messages } from "../fixtures/messages.ts";

/** So many messages of a partition, from this sequence number on. */
const arrived = (from: number, count: number) =>
  messages(count).map((message, i) => ({ message, position: { offset: String(from + i), sequenceNumber: from + i } }));

describe("a partition that messages come to as fast as they are taken", () => {
  test("forgets those that are settled", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const partition = createPartition("0", undefined);
    partition.add(arrived(0, 5_000));
    const first = new WeakRef(partition.peek() as Message);
    for (let round = 1; round <= 20; round++) {
      for (let i = 0; i < 4_000; i++) partition.settle(partition.take(contentSize(partition.peek() as Message)));
      partition.add(arrived(1_000 + round * 4_000, 4_000));
    }
    expect(partition.peek()).toBeDefined();
    // What a reference was made to stays until the turn of the loop is over.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(first.deref()).toBeUndefined();
  });
});

describe("partitions that all have more than a batch", () => {
  test("are read in turns", () => {
    const holding = createHolding<AssignedPartition>();
    const partitions = ["0", "1", "2"].map((index) => createPartition(index, undefined));
    for (const partition of partitions) partition.add(arrived(0, 100));
    holding.replace(partitions);
    const left = () => partitions.map(({ waitingBytes }) => waitingBytes);
    const full = left()[0] as number;
    const batches = Array.from({ length: 3 }, () => {
      const taken: Taken = { deliveries: [], bytes: 0, maxMessages: 10, maxBytes: 1_000_000 };
      holding.moveTo(taken);
      return taken.deliveries.length;
    });
    expect(batches).toEqual([10, 10, 10]);
    expect(left().every((bytes) => bytes < full)).toBe(true);
  });
});

describe("the sources of a broker", () => {
  test("are closed with it, but for those that were closed before", async () => {
    const closed: string[] = [];
    const sourceOf = (name: string) => ({ close: async () => void closed.push(name) }) as Partial<Source> as Source;
    const sources = createOpenSources();
    const first = sources.add(sourceOf("first"));
    sources.add(sourceOf("second"));
    await first.close();
    await sources.close();
    expect(closed).toEqual(["first", "second"]);
  });
});
