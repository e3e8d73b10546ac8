import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { loadSample } from "../../shared/runtime/local/first-run/sample.ts";
import { until } from "./support-local.ts";
import { endLeftHosts, type HostProcess, spawnHost, startHostProcess } from "./support-process.ts";

const QUAKES = 1_707;
const FLIGHTS = 20_000;
const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "persistor-process-"));
  folders.push(folder);
  return join(folder, "data");
}

afterEach(endLeftHosts);
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** Every record of a collection by paging through the API: its attribute `name`. */
async function attributesOf(host: HostProcess, collection: string, name: string): Promise<string[]> {
  const values: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const path: string = `/indexer/query/${collection}?limit=1000${cursor && `&cursor=${cursor}`}`;
    const { status, body } = await host.call("POST", path, { filters: [{}] });
    expect(status).toBe(200);
    for (const { additional_metadata } of body.messages) values.push(String(additional_metadata[name]));
    cursor = body.cursor;
  }
  return values;
}

/** Payloads that a topic holds, read by a subscription that starts anew. */
async function payloadsOf(host: HostProcess, topic: string): Promise<string[]> {
  const path = `/topics/${topic}/subscriptions/reader-${Math.random().toString(36).slice(2)}`;
  const payloads: string[] = [];
  for (;;) {
    const { body } = await host.call("POST", `${path}:pull`, { maxMessages: 1_000 });
    if (body.receivedMessages.length === 0) return payloads;
    const ackIds = body.receivedMessages.map(({ ackId }: { ackId: string }) => ackId);
    for (const { message } of body.receivedMessages) payloads.push(Buffer.from(message.data, "base64").toString());
    await host.call("POST", `${path}:acknowledge`, { ackIds });
  }
}

async function countOf(host: HostProcess, collection: string): Promise<number> {
  return (await host.call("POST", `/indexer/query/${collection}?count=true&limit=1`, { filters: [{}] })).body.total_count;
}

/** The sample's record ids, straight from the package's files. */
async function sampleIds(): Promise<{ earthquakes: string[]; flights: string[]; flightPayloads: string[] }> {
  const folder = join(import.meta.dirname, "..", "..", "node_modules", "vega-datasets", "data");
  const { features } = JSON.parse(await readFile(join(folder, "earthquakes.json"), "utf8")) as { features: { id: string }[] };
  const flights = JSON.parse(await readFile(join(folder, "flights-20k.json"), "utf8")) as unknown[];
  return {
    earthquakes: features.map(({ id }) => id).sort(),
    flights: flights.map((_, row) => String(row + 1)).sort(),
    flightPayloads: flights.map((flight) => JSON.stringify(flight)).sort(),
  };
}

async function expectWholeSample(host: HostProcess): Promise<void> {
  const { earthquakes, flights } = await sampleIds();
  expectSame(await attributesOf(host, "earthquakes", "event"), earthquakes);
  expectSame(await attributesOf(host, "flights", "record"), flights);
}

/** Told in numbers: a list of 20,000 ids helps nobody. */
function expectSame(found: readonly string[], wanted: readonly string[]): void {
  const [known, has] = [new Set(wanted), new Set(found)];
  const differences = {
    missing: wanted.filter((id) => !has.has(id)).length,
    foreign: found.filter((id) => !known.has(id)).length,
    twice: found.length - has.size,
  };
  expect(differences).toEqual({ missing: 0, foreign: 0, twice: 0 });
}

async function jobOf(host: HostProcess, id: string) {
  return (await host.call("GET", `/resubmitter/jobs/${id}`)).body;
}

describe("the first run", () => {
  let dataDir: string;
  let host: HostProcess;

  beforeAll(async () => {
    dataDir = await newFolder();
    host = await startHostProcess(dataDir);
    await host.printed("Serving.");
    const output = host.output();
    await expectWholeSample(host);
    await expectShown(output);
    expect(await host.end("SIGINT")).toEqual({ code: 0, signal: null });
    expect(host.output()).toContain("Stopped.");
    expect(host.errors()).toBe("");
  });

  async function expectShown(output: string): Promise<void> {
    expect(output).toContain("First run: feeding 1,707 earthquakes and 20,000 flights");
    // Without a terminal, plain lines; the last tells the end.
    expect(output).toMatch(/^stored and indexed 21707 of 21707$/m);
    expect(output).toMatch(/^Persisted 21,707 messages \([\d.]+ MB of payload\) in \d+ objects, [\d.]+ MB on disk:$/m);
    expect(output).toMatch(/├─ earthquakes\/\d{4}\/.*\(\d+ objects, \d+ KB\)/);
    expect(output).toMatch(/└─ flights\/\d{4}\//);
    expect(output).toContain("Indexed 21,707 records: 1,707 in earthquakes, 20,000 in flights.");
    expect(output).toMatch(/Query: earthquakes with a magnitude from 4.5 up to 6 — 80 found/);
    expect(output).toMatch(/80 of 80 sent, 80 of 80 verified identical/);
    const lines = [...output.matchAll(/^ {2}curl -s '(http:\/\/\S+)' -H 'content-type: application\/json' -d '(.+)'$/gm)];
    expect(lines).toHaveLength(2);
    for (const [, url, body] of lines) {
      const response = await fetch(url as string, { method: "POST", headers: { "content-type": "application/json" }, body });
      expect(response.status).toBe(200);
      expect(JSON.stringify(await response.json())).toMatch(/"total_count":80|"verified_count":80/);
    }
  }

  it("went before: a second start keeps the data, feeds nothing twice, and serves on", async () => {
    host = await startHostProcess(dataDir);
    await host.printed("Serving.");
    expect(host.output()).not.toMatch(/First run|feeding/);
    await expectWholeSample(host);
    const { body } = await host.call("POST", "/topics/flights/events", '{"text": "one more", "attributes": {"record": "more"}}');
    expect(body).toEqual({ accepted: 1 });
    await until("the new message in the index", async () => (await countOf(host, "flights")) === FLIGHTS + 1);
    expect(await host.end("SIGTERM")).toEqual({ code: 0, signal: null });
  });

  it.each([
    ["at a pace", "&rate=4000"],
    ["as fast as it goes", ""],
  ])(
    "went before: a resubmission of all flights %s, killed half way, ends by itself after a restart with each one sent and verified",
    async (_, pace) => {
      const topic = `flights-again${pace === "" ? "" : "-paced"}`;
      host = await startHostProcess(dataDir);
      await host.printed("Serving.");
      const filter = { filters: [{ "additional_metadata.distance": { $exists: true } }] };
      const { status, body } = await host.call("POST", `/resubmitter/query/flights?topic=${topic}${pace}`, filter, {
        prefer: "respond-async",
      });
      expect(status).toBe(202);
      let before = await jobOf(host, body.job);
      while (before.summary.published_count === 0) before = await jobOf(host, body.job);
      expect((await host.end("SIGKILL")).signal).toBe("SIGKILL");
      if (pace !== "") expect(before).toMatchObject({ state: "running", finished_at: null });

      host = await startHostProcess(dataDir);
      await until("the job to end", async () => (await jobOf(host, body.job)).finished_at !== null);
      expect(await jobOf(host, body.job)).toMatchObject({
        state: "succeeded",
        summary: { indexed_count: FLIGHTS, published_count: FLIGHTS, verified_count: FLIGHTS },
      });
      const sent = (await payloadsOf(host, topic)).sort();
      const wanted = (await sampleIds()).flightPayloads;
      const timesSent = new Map([...Map.groupBy(sent, (payload) => payload)].map(([payload, found]) => [payload, found.length]));
      const timesWanted = Map.groupBy(wanted, (payload) => payload);
      for (const [payload, found] of timesWanted) expect(timesSent.get(payload) ?? 0).toBeGreaterThanOrEqual(found.length);
      expect([...timesSent.keys()].filter((payload) => !timesWanted.has(payload))).toEqual([]);
      await host.end("SIGKILL");
    },
  );

  it("went before: while one host has the data folder a second is refused, and so is one whose port is taken", async () => {
    host = await startHostProcess(dataDir);
    const second = spawnHost(dataDir);
    expect((await second.ended).code).toBe(1);
    expect(second.output()).toBe("");
    expect(second.errors()).toMatch(
      /^taking the data folder .*: another Persistor uses it .*; stop that one, or set PERSISTOR_DATA_DIR to another folder\n$/,
    );
    const elsewhere = await newFolder();
    const third = spawnHost(elsewhere, { PORT: new URL(host.url).port, PERSISTOR_SAMPLE: "off" });
    expect((await third.ended).code).toBe(1);
    expect(third.output()).toBe("");
    expect(third.errors()).toMatch(/^listening on 127\.0\.0\.1:\d+: .*EADDRINUSE.*; free it, or set PORT and HOST to another\n$/);
    expect((await host.call("GET", "/healthz")).status).toBe(200);
    expect(await host.end("SIGINT")).toEqual({ code: 0, signal: null });
  });
});

describe("a host that is killed in the middle of the feed", () => {
  it("and again at other moments, has every record once in the index in the end, and none is missing", async () => {
    const dataDir = await newFolder();
    // A first start that could not even listen is made up for, too.
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const refused = spawnHost(dataDir, { PORT: String((taken.address() as AddressInfo).port) });
    expect((await refused.ended).code).toBe(1);
    taken.close();
    // From before the first message to when some of it is indexed; the last start may find the feed done.
    for (const moment of [0, 300, 900, 1_500]) {
      const host = await startHostProcess(dataDir);
      await new Promise((resolve) => setTimeout(resolve, moment + Math.random() * 400));
      expect((await host.end("SIGKILL")).signal).toBe("SIGKILL");
    }
    const host = await startHostProcess(dataDir);
    await host.printed("Serving.");
    await expectWholeSample(host);
    expect(existsSync(join(dataDir, "sample-feed.unfinished"))).toBe(false);
    for (const pipeline of ["earthquakes", "flights"]) {
      const { body } = await host.call("POST", "/admin/maintenance", { kind: "audit", pipeline });
      await until("the audit", async () => (await host.call("GET", `/admin/maintenance/${body.job}`)).body.finished_at !== null);
      const { progress } = (await host.call("GET", `/admin/maintenance/${body.job}`)).body;
      expect(progress).toMatchObject({ missing_in_index: 0, missing_in_store: 0, unreadable_objects: 0 });
      expect(progress.indexed).toBe(pipeline === "flights" ? FLIGHTS : QUAKES);
    }
    expect(await host.end("SIGINT")).toEqual({ code: 0, signal: null });
  });
});

describe("a host that is interrupted", () => {
  it("with messages just accepted stores and settles what it holds, exits with 0, and has all of them at the next start", async () => {
    const dataDir = await newFolder();
    const environment = { PERSISTOR_SAMPLE: "off" };
    let host = await startHostProcess(dataDir, environment);
    const lines = Array.from({ length: 5_000 }, (_, n) => JSON.stringify({ text: `flight ${n}`, attributes: { record: n } }));
    let accepted = 0;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const load = host.call("POST", "/topics/flights/events", lines.slice(accepted, accepted + 2_500).join("\n"));
      expect((await load).body).toEqual({ accepted: 2_500 });
      accepted += 2_500;
      expect(await host.end(signal)).toEqual({ code: 0, signal: null });
      expect(host.output()).toMatch(/Stopping: storing and settling what is held\.\nStopped\.\n$/);
      host = await startHostProcess(dataDir, environment);
      await until("all messages in the index", async () => (await countOf(host, "flights")) >= accepted);
      const records = (await attributesOf(host, "flights", "record")).map(Number).sort((a, b) => a - b);
      expect(records).toEqual(Array.from({ length: accepted }, (_, n) => n));
    }
    await host.end("SIGKILL");
  });

  it("during the feed goes on with it at the next start", async () => {
    const dataDir = await newFolder();
    const first = await startHostProcess(dataDir);
    await first.printed("stored and indexed");
    expect(await first.end("SIGINT")).toEqual({ code: 0, signal: null });
    const second = await startHostProcess(dataDir);
    await second.printed("Serving.");
    await expectWholeSample(second);
    await second.end("SIGKILL");
  });
});

describe("the settings of a host", () => {
  it("that are wrong are all named at once, without the secrets among them, and nothing is made", async () => {
    const dataDir = await newFolder();
    const host = spawnHost(dataDir, {
      PORT: "many",
      PERSISTOR_DATADIR: "hunter1",
      PERSISTOR_SAMPLE: "maybe",
      PERSISTOR_AUTH: '{"mode": "required", "apiKeys": [{"id": "a", "sha256": "hunter2"}], hunter3}',
      PERSISTOR_CURSOR_SECRET: "hunter4",
      PERSISTOR_STORES: '{"lake": {"kind": "s3"}}',
    });
    expect((await host.ended).code).toBe(1);
    expect(host.output()).toBe("");
    expect(host.errors()).toMatch(/^reading the settings: 6 problems\n/);
    for (const name of [
      "PORT",
      "PERSISTOR_DATADIR",
      "PERSISTOR_SAMPLE",
      "PERSISTOR_AUTH",
      "PERSISTOR_CURSOR_SECRET",
      "PERSISTOR_STORES.lake.kind",
    ])
      expect(host.errors()).toMatch(new RegExp(`^  ${name.replaceAll(".", "\\.")}: `, "m"));
    expect(host.errors()).not.toMatch(/hunter/);
    expect(existsSync(dataDir)).toBe(false);
  });

  it("with the sample off feed nothing, now or later, and a foreign Host or Origin is refused", async () => {
    const dataDir = await newFolder();
    let host = await startHostProcess(dataDir, { PERSISTOR_SAMPLE: "off" });
    await host.printed("Serving.");
    const { port } = new URL(host.url);
    expect(await statusOf(port, {})).toBe(200);
    expect(await statusOf(port, { host: `localhost:${port}`, origin: `http://localhost:${port}` })).toBe(200);
    expect(await statusOf(port, { host: "evil.example" })).toBe(403);
    expect(await statusOf(port, { host: `evil.example:${port}` })).toBe(403);
    expect(await statusOf(port, { host: "127.0.0.1:1" })).toBe(403);
    expect(await statusOf(port, { origin: "https://evil.example" })).toBe(403);
    expect(await statusOf(port, { origin: "null" })).toBe(403);
    await host.end("SIGINT");
    host = await startHostProcess(dataDir);
    await host.printed("Serving.");
    expect(host.output()).not.toContain("First run");
    expect([await countOf(host, "flights"), await countOf(host, "earthquakes")]).toEqual([0, 0]);
    await host.end("SIGKILL");
  });

  function statusOf(port: string, headers: Record<string, string>): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const call = request({ port, path: "/indexer/collections", headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on("error", reject).end();
    });
  }
});

describe("the sample", () => {
  it("has the records of the package, each under an id of its own", async () => {
    const sample = await loadSample();
    const { earthquakes, flights } = await sampleIds();
    expect(sample?.map(({ messages }) => messages.map(({ id }) => id).sort())).toEqual([earthquakes, flights]);
  });
});
