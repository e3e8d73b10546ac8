import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { indexes } from "../../shared/adapters/registry.ts";
import { IDEMPOTENCY_TTL_MS, type Job, type JobStore } from "../../shared/core/ports/job-store.ts";
import type { WorkItem, WorkItems } from "../../shared/core/ports/work-items.ts";
import { sampleEntries, sampleItem, sampleJob } from "../adapters/job-samples.ts";
import { describeAdapters } from "./support-ports.ts";

const idsOf = (jobs: readonly Job[]) => jobs.map((job) => job.id);

await describeAdapters("job store", "indexes", Object.keys(indexes), (harness) => {
  let jobs: JobStore;
  let items: WorkItems;
  let reopen: () => Promise<void>;
  let end: () => Promise<void>;

  beforeEach(async () => {
    const fixture = await harness.fresh();
    let opened = await fixture.openJobs();
    jobs = opened.jobs;
    items = opened.items;
    reopen = async () => {
      await opened.close();
      opened = await fixture.openJobs();
      jobs = opened.jobs;
    };
    end = async () => {
      await opened.close();
      await fixture.dispose();
    };
  });

  afterEach(() => end());

  it("gives back a job as it was stored, also after it is opened again", async () => {
    const job = sampleJob("1", { cursor: { order: "publish", publish_time: 5, unique_id: "x" }, progress: { found: [1] } });
    expect(await jobs.insert(job)).toEqual(job);
    await reopen();
    expect(await jobs.get("1")).toEqual(job);
    expect(await jobs.get("2")).toBeUndefined();
  });

  it("replaces a job only at the revision that is stored, and raises it", async () => {
    const job = await jobs.insert(sampleJob("1"));
    const running = await jobs.update({ ...job, state: "running", nextItem: 3 });
    expect(running).toEqual({ ...job, state: "running", nextItem: 3, revision: 1 });
    expect(await jobs.update({ ...job, state: "failed" })).toBeUndefined();
    expect(await jobs.get("1")).toEqual(running);
    expect(await jobs.update(sampleJob("unknown"))).toBeUndefined();
  });

  it("adds the items of an update that wins, and none of one that loses", async () => {
    const job = await jobs.insert(sampleJob("1"));
    const planned = [sampleItem(0, { jobId: "1" }), sampleItem(1, { jobId: "1" })];
    expect(await jobs.update({ ...job, nextItem: 2 }, planned)).toMatchObject({ nextItem: 2, revision: 1 });
    expect(await jobs.update({ ...job, nextItem: 3 }, [sampleItem(2, { jobId: "1" })])).toBeUndefined();
    expect(await items.list("1", { limit: 9 })).toEqual(planned);
  });

  it("lets exactly one of many writers of a revision win", async () => {
    const job = await jobs.insert(sampleJob("1"));
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => jobs.update({ ...job, plannedCount: i })));
    const winners = results.filter((result) => result !== undefined);
    expect(winners).toHaveLength(1);
    expect(await jobs.get("1")).toEqual(winners[0]);
  });

  it("adds the items of exactly one of many planners of a revision, whole", async () => {
    let job = await jobs.insert(sampleJob("1"));
    const expected: WorkItem[] = [];
    for (let step = 0; step < 3; step++) {
      const plans = Array.from({ length: 20 }, (_, planner) => {
        const count = 1 + (planner % 4);
        return Array.from({ length: count }, (_, i) =>
          sampleItem(job.nextItem + i, { jobId: "1", entries: sampleEntries([`${step}-${planner}`]) }),
        );
      });
      const results = await Promise.all(plans.map((plan) => jobs.update({ ...job, nextItem: job.nextItem + plan.length }, plan)));
      expect(results.filter((result) => result !== undefined)).toHaveLength(1);
      const winner = results.findIndex((result) => result !== undefined);
      expected.push(...(plans[winner] as WorkItem[]));
      expect(await items.list("1", { limit: 99 })).toEqual(expected);
      expect(await items.summarize("1")).toMatchObject({ planned: expected.length, counts: { indexed: expected.length } });
      job = (await jobs.get("1")) as Job;
      expect(job).toEqual(results[winner]);
    }
  });

  it("shows the items of an update to all who can read its revision", async () => {
    const job = await jobs.insert(sampleJob("1"));
    const readers = Array.from({ length: 8 }, async () => {
      for (;;) {
        const { nextItem } = (await jobs.get("1")) as Job;
        const { planned } = await items.summarize("1");
        expect(planned).toBeGreaterThanOrEqual(nextItem);
        if (nextItem === 40) return;
      }
    });
    const planned = Array.from({ length: 40 }, (_, number) => sampleItem(number, { jobId: "1" }));
    await jobs.update({ ...job, nextItem: 40 }, planned);
    await Promise.all(readers);
  });

  it("takes an item of some megabytes, and a name of any characters", async () => {
    const ids = Array.from({ length: 5_000 }, (_, i) => `${i}:${randomBytes(120).toString("hex")}`);
    const item = sampleItem(0, { jobId: "a/b.$c é", entries: sampleEntries(ids) });
    const job = await jobs.insert(sampleJob("a/b.$c é", { idempotencyKey: "k".repeat(3_000) }));
    expect(await jobs.update({ ...job, nextItem: 1 }, [item])).toBeDefined();
    expect(await items.list(job.id, { limit: 1 })).toEqual([item]);
  });

  it("answers an idempotency key with its first job for as long as it holds", async () => {
    const first = await jobs.insert(sampleJob("1", { idempotencyKey: "key", requestHash: "a" }));
    const done = await jobs.update({ ...first, state: "succeeded" });
    const repeat = sampleJob("2", { idempotencyKey: "key", requestHash: "b", createdAtMs: first.createdAtMs + IDEMPOTENCY_TTL_MS - 1 });
    expect(await jobs.insert(repeat)).toEqual(done);
    expect(await jobs.get("2")).toBeUndefined();
    const later = sampleJob("3", { idempotencyKey: "key", createdAtMs: first.createdAtMs + IDEMPOTENCY_TTL_MS });
    expect(await jobs.insert(later)).toEqual(later);
    expect(await jobs.insert({ ...later, id: "4" })).toEqual(later);
    expect(await jobs.get("1")).toEqual(done);
  });

  it("makes one job of many requests at once with one key", async () => {
    const stored = await Promise.all(Array.from({ length: 20 }, (_, i) => jobs.insert(sampleJob(String(i), { idempotencyKey: "key" }))));
    expect(new Set(idsOf(stored)).size).toBe(1);
    expect(await jobs.list({ limit: 100 })).toHaveLength(1);
  });

  it("gives a key that is free again to exactly one of many requests at once", async () => {
    await jobs.insert(sampleJob("old", { idempotencyKey: "key" }));
    const createdAtMs = 1_000 + IDEMPOTENCY_TTL_MS;
    const requests = Array.from({ length: 20 }, (_, i) => jobs.insert(sampleJob(String(i), { idempotencyKey: "key", createdAtMs })));
    const [winner] = new Set(idsOf(await Promise.all(requests)));
    expect(winner).not.toBe("old");
    expect(idsOf(await jobs.list({ limit: 100 }))).toEqual([winner, "old"]);
  });

  it("gives a request that is repeated its own job", async () => {
    const first = await jobs.insert(sampleJob("1", { idempotencyKey: "key" }));
    const running = await jobs.update({ ...first, state: "running" });
    expect(await jobs.insert(first)).toEqual(running);
    const keyless = await jobs.insert(sampleJob("2"));
    expect(await jobs.insert(keyless)).toEqual(keyless);
    expect(await jobs.list({ limit: 100 })).toHaveLength(2);
  });

  it("lists none where none are asked for", async () => {
    await jobs.update(await jobs.insert(sampleJob("1")), [sampleItem(0, { jobId: "1" })]);
    expect(await jobs.list({ limit: 0 })).toEqual([]);
    expect(await items.list("1", { limit: 0 })).toEqual([]);
  });

  it("keeps jobs without a key, and of other keys, apart", async () => {
    for (const [id, idempotencyKey] of [
      ["1", null],
      ["2", null],
      ["3", "a"],
      ["4", "b"],
    ] as const)
      await jobs.insert(sampleJob(id, { idempotencyKey }));
    expect(await jobs.list({ limit: 100 })).toHaveLength(4);
  });

  it("lists the newest first, by pages", async () => {
    for (const [id, createdAtMs] of [
      ["a", 1],
      ["c", 2],
      ["b", 2],
      ["d", 3],
    ] as const)
      await jobs.insert(sampleJob(id, { createdAtMs }));
    expect(idsOf(await jobs.list({ limit: 2 }))).toEqual(["d", "c"]);
    expect(idsOf(await jobs.list({ limit: 2, after: { createdAtMs: 2, id: "c" } }))).toEqual(["b", "a"]);
  });

  it("lists by kind, states and collections", async () => {
    await jobs.insert(sampleJob("1"));
    await jobs.insert(sampleJob("2", { kind: "audit", collection: "other" }));
    await jobs.insert(sampleJob("3", { state: "running" }));
    expect(idsOf(await jobs.list({ limit: 9, kind: "audit" }))).toEqual(["2"]);
    expect(idsOf(await jobs.list({ limit: 9, states: ["running", "failed"] }))).toEqual(["3"]);
    expect(idsOf(await jobs.list({ limit: 9, collections: ["orders"], states: ["planning"] }))).toEqual(["1"]);
    expect(await jobs.list({ limit: 9, collections: [] })).toEqual([]);
    expect(await jobs.list({ limit: 9, states: [] })).toEqual([]);
    await jobs.update(sampleJob("1", { state: "running" }));
    expect(idsOf(await jobs.list({ limit: 9, states: ["running"] }))).toEqual(["3", "1"]);
  });

  it("may be closed twice", async () => {
    await jobs.close();
    await jobs.close();
    await reopen();
  });
});
