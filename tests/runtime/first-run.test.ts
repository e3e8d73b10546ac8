import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringAttribute } from "../../shared/core/message.ts";
import { openConsole } from "../../shared/runtime/local/console.ts";
import { claimFeed, endFeed, feedSample } from "../../shared/runtime/local/first-run/feed.ts";
import { bytesText, folderTree } from "../../shared/runtime/local/first-run/folder-tree.ts";
import { loadSample, type SampleTopic } from "../../shared/runtime/local/first-run/sample.ts";
import { type Local, openLocal, pipelineOf, textContent, until } from "../e2e/support-local.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "persistor-first-run-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, bytes: number): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, Buffer.alloc(bytes));
}

describe("the feed of the sample", () => {
  it("is due in a folder that is new or empty, still due after a start that was cut off, and never in one that is used", async () => {
    const dataDir = join(folder, "new", "data");
    expect(await claimFeed(dataDir)).toBe(true);
    await writeFile(join(dataDir, "broker.db"), "");
    expect(await claimFeed(dataDir)).toBe(true);
    await endFeed(dataDir);
    await endFeed(dataDir);
    expect(await claimFeed(dataDir)).toBe(false);
    await write("used/broker.db", 0);
    expect(await claimFeed(join(folder, "used"))).toBe(false);
  });

  const sampleOf = (topic: string, count: number): SampleTopic => ({
    topic,
    recordId: "record",
    messages: Array.from({ length: count }, (_, n) => ({
      id: String(n),
      message: textContent(`${topic} ${n}`, { attributes: [stringAttribute("record", String(n))] }),
    })),
  });
  const idsOf = async (local: Local, topic: string) =>
    (await local.records(topic)).map(({ attributes }) => Number(attributes[0]?.[1])).sort((a, b) => a - b);

  it("goes on where it was cut off, feeds nothing twice, and tells how far it is", async () => {
    const sample = [sampleOf("a", 2_500), sampleOf("b", 100)];
    const total = 2_600;
    const local = await openLocal({ a: pipelineOf("a"), b: pipelineOf("b") });
    try {
      await local.publish("b", sample[1]?.messages.slice(0, 30).map(({ message }) => message) ?? []);
      const stop = new AbortController();
      const cut = feedSample(sample, local.composition, { total, onProgress: (indexed) => indexed > 500 && stop.abort() }, stop.signal);
      await cut;
      const told: number[] = [];
      await claimFeed(join(folder, "none"));
      await feedSample(sample, local.composition, { total, onProgress: (indexed) => told.push(indexed) }, new AbortController().signal);
      await local.drained();
      expect(await idsOf(local, "a")).toEqual(Array.from({ length: 2_500 }, (_, n) => n));
      expect(await idsOf(local, "b")).toEqual(Array.from({ length: 100 }, (_, n) => n));
      expect(told).toEqual(told.toSorted((x, y) => x - y));
      expect(told.at(-1)).toBe(total);
      await feedSample(sample, local.composition, { total, onProgress: () => undefined }, new AbortController().signal);
      await local.drained();
      expect((await local.records("a")).length + (await local.records("b")).length).toBe(total);
    } finally {
      await local.dispose();
    }
  });

  it("has one message per record of the package, with attributes that say what it is about", async () => {
    const [earthquakes, flights] = (await loadSample()) ?? [];
    expect([earthquakes?.topic, earthquakes?.messages.length, flights?.topic, flights?.messages.length]).toEqual([
      "earthquakes",
      1_707,
      "flights",
      20_000,
    ]);
    const names = (sample: SampleTopic | undefined) =>
      new Set(sample?.messages.flatMap(({ message }) => message.attributes.map(({ name }) => name)));
    expect([...names(earthquakes)].sort()).toEqual([
      "event",
      "magnitude",
      "magnitude_type",
      "network",
      "place",
      "significance",
      "status",
      "time",
      "type",
    ]);
    expect([...names(flights)].sort()).toEqual(["date", "delay", "destination", "distance", "origin", "record"]);
    expect(JSON.parse(Buffer.from(flights?.messages[0]?.message.payload ?? []).toString())).toEqual(
      expect.objectContaining({ origin: expect.any(String) }),
    );
  });
});

describe("the folder tree", () => {
  it("joins folders that hold one folder alone, counts objects and bytes, and cuts long lists", async () => {
    await write("orders/2026/01/31/a.avro", 1_000);
    await write("orders/2026/01/31/b.avro", 1_000);
    await write("flat.avro", 10);
    for (let i = 0; i < 9; i++) await write(`many/network=${i}/x.avro`, 2_048);
    await write("%tmp/unfinished", 5_000);
    const { objects, bytes, lines } = await folderTree(folder);
    expect([objects, bytes]).toEqual([12, 2_010 + 9 * 2_048]);
    expect(lines).toEqual([
      folder,
      "├─ many/  (9 objects, 18 KB)",
      ...Array.from({ length: 6 }, (_, i) => `│  ├─ network=${i}/  (1 object, 2 KB)`),
      "│  └─ … 3 more folders  (3 objects, 6 KB)",
      "└─ orders/2026/01/31/  (2 objects, 2 KB)",
    ]);
  });

  it.each([
    [0, "0 B"],
    [1_023, "1023 B"],
    [1_024, "1 KB"],
    [1_048_575, "1024 KB"],
    [1_048_576, "1.0 MB"],
    [5_000_000_000, "4768.4 MB"],
  ])("writes %i bytes as %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));
});

describe("the progress bar", () => {
  function shown(isTerminal: boolean) {
    const stream = Object.assign(new PassThrough(), {
      isTTY: isTerminal,
      cursorTo: () => true,
      clearLine: () => true,
      moveCursor: () => true,
      columns: 80,
    });
    const progress = openConsole(stream as unknown as NodeJS.WriteStream).progress("stored", 1_000);
    return { progress, text: () => (stream.read() as Buffer | null)?.toString() ?? "" };
  }

  it("is a plain line at every tenth without a terminal", () => {
    const { progress, text } = shown(false);
    for (const done of [0, 50, 99, 100, 150, 420, 420, 999, 1_000]) progress.update(done);
    progress.stop();
    expect(text()).toBe("stored 100 of 1000\nstored 420 of 1000\nstored 999 of 1000\nstored 1000 of 1000\n");
  });

  it("is drawn on a terminal, up to its end", async () => {
    const { progress, text } = shown(true);
    progress.update(500);
    progress.update(1_000);
    progress.stop();
    let drawn = "";
    await until("the bar's end", () => {
      drawn += text();
      return drawn.includes("100%");
    });
    expect(drawn).toContain("1000 of 1000");
  });
});
