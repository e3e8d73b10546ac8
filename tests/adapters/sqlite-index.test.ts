import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openIndex, openJobs } from "../../shared/adapters/indexes/sqlite/adapter.ts";
import { freshContext } from "../../shared/adapters/indexes/sqlite/harness.ts";
import { INDEX_FILE, JOBS_FILE } from "../../shared/adapters/indexes/sqlite/settings.ts";
import { IndexError } from "../../shared/core/errors.ts";
import { MATCH_ALL } from "../../shared/core/filter/ast.ts";
import { parseFilter } from "../../shared/core/filter/parse.ts";

const CHILD = fileURLToPath(new URL("./sqlite-index-child.ts", import.meta.url));
const RECORDS_PER_CALL = 200;
const ROUNDS = 4;

interface Confirmed {
  calls: Set<string>;
  jobs: Map<string, number>;
}

describe("the SQLite index and job store", () => {
  let dataDir: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const place = await freshContext();
    dataDir = place.context.dataDir;
    remove = place.remove;
  });

  afterEach(() => remove());

  /** Reads what the child confirms and kills it in the middle of what follows `lines` of that. */
  async function killAfter(child: ChildProcess, lines: number, confirmed: Confirmed): Promise<void> {
    const ended = once(child, "exit");
    let seen = 0;
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const [kind, name = "", count] = line.split(" ");
      if (kind === "index") confirmed.calls.add(name);
      else confirmed.jobs.set(name, Number(count));
      if (++seen === lines) child.kill("SIGKILL");
    }
    const [, signal] = await ended;
    expect(signal).toBe("SIGKILL");
  }

  async function expectKept({ calls, jobs }: Confirmed): Promise<void> {
    for (const file of [INDEX_FILE, JOBS_FILE]) {
      const database = new DatabaseSync(join(dataDir, file));
      expect(database.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
      database.close();
    }
    const index = await openIndex({}, { dataDir });
    for (const call of calls) {
      const filter = parseFilter({ all: [{ "additional_metadata.call": call }] });
      expect((await index.summarize("orders", filter))[0]?.count).toBe(RECORDS_PER_CALL);
    }
    const every = await index.find("orders", { filter: MATCH_ALL, order: "publish", limit: 1_000_000 });
    expect(every.length % RECORDS_PER_CALL).toBe(0);
    expect(every.length).toBeGreaterThanOrEqual(calls.size * RECORDS_PER_CALL);
    await index.close();
    const opened = await openJobs({}, { dataDir });
    for (const [id, count] of jobs) expect((await opened.jobs.get(id))?.nextItem).toBeGreaterThanOrEqual(count);
    await opened.close();
  }

  it("are sound after kill -9 and hold all that was confirmed, and nothing by halves", async () => {
    const confirmed: Confirmed = { calls: new Set(), jobs: new Map() };
    for (let round = 0; round < ROUNDS; round++) {
      const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, dataDir, String(round)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await killAfter(child, 5 + Math.floor(Math.random() * 60), confirmed);
      await expectKept(confirmed);
    }
    expect(confirmed.jobs.size).toBeGreaterThan(0);
  });

  it("say what to do where the file is no database", async () => {
    await writeFile(join(dataDir, INDEX_FILE), "this is no database ".repeat(100));
    await writeFile(join(dataDir, JOBS_FILE), "this is no database ".repeat(100));
    await expect(openIndex({}, { dataDir })).rejects.toMatchObject({ name: "IndexError", code: "index_unavailable", retryable: true });
    await expect(openJobs({}, { dataDir })).rejects.toMatchObject({ name: "IndexError", code: "job_store_unavailable", retryable: true });
  });

  it("refuse a file of another schema", async () => {
    const database = new DatabaseSync(join(dataDir, INDEX_FILE));
    database.exec("PRAGMA user_version = 99");
    database.close();
    await expect(openIndex({}, { dataDir })).rejects.toThrow(/schema version 99/);
  });

  it("make the data folder, and fail where they cannot", async () => {
    const index = await openIndex({}, { dataDir: join(dataDir, "a", "b") });
    await index.close();
    await mkdir(join(dataDir, "c"));
    await writeFile(join(dataDir, "c", "file"), "");
    await expect(openIndex({}, { dataDir: join(dataDir, "c", "file") })).rejects.toThrow(IndexError);
    await expect(openJobs({}, { dataDir: join(dataDir, "c", "file") })).rejects.toThrow(IndexError);
  });

  it("give each failed call its error and go on", async () => {
    const index = await openIndex({}, { dataDir });
    const broken = [{ unique_id: "x", digest: "0" }] as unknown as Parameters<typeof index.upsert>[1];
    await expect(index.upsert("orders", broken)).rejects.toMatchObject({ name: "IndexError", code: "index_unavailable" });
    expect(await index.find("orders", { filter: MATCH_ALL, order: "publish", limit: 1 })).toEqual([]);
    await index.close();
    await expect(index.find("orders", { filter: MATCH_ALL, order: "publish", limit: 1 })).rejects.toThrow(IndexError);
  });
});
