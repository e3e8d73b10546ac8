import { afterEach, beforeEach, expect, it } from "vitest";
import { indexes } from "../../shared/adapters/registry.ts";
import type { JobStore } from "../../shared/core/ports/job-store.ts";
import type { ItemUpdate, WorkItem, WorkItems } from "../../shared/core/ports/work-items.ts";
import { NO_COUNTS, sampleEntries, sampleItem, sampleJob } from "../adapters/job-samples.ts";
import { describeAdapters } from "./support-ports.ts";

function updateOf(item: WorkItem, fields: Partial<ItemUpdate> = {}): ItemUpdate {
  const { state, leaseUntilMs, notBeforeMs, entries, counts, failures } = item;
  return { state, leaseUntilMs, notBeforeMs, entries, counts, failures, ...fields };
}

await describeAdapters("work items", "indexes", Object.keys(indexes), (harness) => {
  let items: WorkItems;
  let jobs: JobStore;
  let reopen: () => Promise<void>;
  let end: () => Promise<void>;

  beforeEach(async () => {
    const fixture = await harness.fresh();
    let opened = await fixture.openJobs();
    ({ items, jobs } = opened);
    reopen = async () => {
      await opened.close();
      opened = await fixture.openJobs();
      ({ items, jobs } = opened);
    };
    end = async () => {
      await opened.close();
      await fixture.dispose();
    };
  });

  afterEach(() => end());

  /** Items come with an update of their job. */
  const add = async (added: readonly WorkItem[]) => {
    for (const [id, ofJob] of Map.groupBy(added, ({ jobId }) => jobId)) {
      const job = (await jobs.get(id)) ?? (await jobs.insert(sampleJob(id)));
      expect(await jobs.update(job, ofJob)).toBeDefined();
    }
  };

  const lease = (nowMs = 0, leaseMs = 100, jobId?: string) => items.lease({ nowMs, leaseMs, jobId });

  it("gives back items as they were added, also after it is opened again, and adds none twice", async () => {
    const failures = [{ id: "m1", reason: "digest_mismatch", detail: "\u0000 é", entry: { row: [1, "x"] } }] satisfies WorkItem["failures"];
    const added = [sampleItem(0), sampleItem(1, { lane: "k", failures })];
    await add(added);
    await add([sampleItem(1, { entries: sampleEntries(["other"]) }), sampleItem(2)]);
    await reopen();
    expect(await items.list("job", { limit: 9 })).toEqual([...added, sampleItem(2)]);
    expect(await items.list("other", { limit: 9 })).toEqual([]);
  });

  it("leases the first item by job and number", async () => {
    await add([sampleItem(1, { jobId: "b" }), sampleItem(1), sampleItem(0, { jobId: "b" }), sampleItem(0, { jobId: "a" })]);
    expect(await lease(50)).toEqual({ ...sampleItem(0, { jobId: "a" }), state: "leased", attempt: 1, leaseUntilMs: 150 });
    expect(await lease(50)).toMatchObject({ jobId: "b", number: 0 });
    expect(await lease(50)).toMatchObject({ jobId: "b", number: 1 });
    expect(await lease(50)).toMatchObject({ jobId: "job", number: 1 });
    expect(await lease(50)).toBeUndefined();
  });

  it("leases each item to one of many callers at once", async () => {
    await add([sampleItem(1, { jobId: "b" }), sampleItem(1), sampleItem(0, { jobId: "b" }), sampleItem(0, { jobId: "a" })]);
    const leased = await Promise.all(Array.from({ length: 6 }, () => lease(50)));
    const names = leased.map((item) => (item ? `${item.jobId} ${item.number}` : "none"));
    expect(names.toSorted()).toEqual(["a 0", "b 0", "b 1", "job 1", "none", "none"]);
  });

  it("leases of the job that is asked for only", async () => {
    await add([sampleItem(0, { jobId: "a" }), sampleItem(0, { jobId: "b" })]);
    expect((await lease(0, 100, "b"))?.jobId).toBe("b");
    expect(await lease(0, 100, "b")).toBeUndefined();
    expect((await lease(0, 100, "a"))?.jobId).toBe("a");
  });

  it("leases an item again once its lease is over, and not a moment before", async () => {
    await add([sampleItem(0)]);
    await lease(0, 100);
    expect(await lease(99)).toBeUndefined();
    expect(await lease(100)).toMatchObject({ number: 0, attempt: 2, leaseUntilMs: 200 });
  });

  it("refuses what a worker writes after its item went to another", async () => {
    await add([sampleItem(0)]);
    const first = (await lease(0)) as WorkItem;
    const second = (await lease(100)) as WorkItem;
    expect(await items.update(first, updateOf(first, { state: "done" }))).toBe(false);
    expect(await items.update(second, updateOf(second, { state: "done", entries: sampleEntries([]) }))).toBe(true);
    expect(await items.list("job", { limit: 1 })).toEqual([{ ...second, state: "done", entries: sampleEntries([]) }]);
    expect(await items.update({ jobId: "job", number: 7, attempt: 0 }, updateOf(first))).toBe(false);
  });

  it("lets a lease be prolonged", async () => {
    await add([sampleItem(0)]);
    const item = (await lease(0)) as WorkItem;
    expect(await items.update(item, updateOf(item, { leaseUntilMs: 500 }))).toBe(true);
    expect(await lease(499)).toBeUndefined();
    expect(await lease(500)).toMatchObject({ attempt: 2 });
  });

  it("cancels a planned item unless it was leased meanwhile", async () => {
    await add([sampleItem(0), sampleItem(1)]);
    await lease();
    expect(await items.update(sampleItem(0), updateOf(sampleItem(0), { state: "cancelled" }))).toBe(false);
    expect(await items.update(sampleItem(1), updateOf(sampleItem(1), { state: "cancelled" }))).toBe(true);
    expect(await lease()).toBeUndefined();
  });

  it("keeps an item back until its time", async () => {
    await add([sampleItem(0, { notBeforeMs: 10 }), sampleItem(1)]);
    expect((await lease(9))?.number).toBe(1);
    expect(await lease(9)).toBeUndefined();
    expect((await lease(10))?.number).toBe(0);
  });

  it("works a lane strictly in order, beside other lanes and jobs", async () => {
    const lanes = ["a", "b", "a", null, "a"];
    await add(lanes.map((lane, number) => sampleItem(number, { lane })));
    await add([sampleItem(0, { jobId: "other", lane: "a" })]);
    const open = [await lease(), await lease(), await lease(), await lease(), await lease()];
    expect(open.map((item) => item && [item.jobId, item.number])).toEqual([["job", 0], ["job", 1], ["job", 3], ["other", 0], undefined]);
    const first = open[0] as WorkItem;
    await items.update(first, updateOf(first, { state: "planned", notBeforeMs: 50 }));
    expect(await lease(10)).toBeUndefined();
    const again = (await lease(50)) as WorkItem;
    expect(again.number).toBe(0);
    await items.update(again, updateOf(again, { state: "failed" }));
    expect((await lease(60))?.number).toBe(2);
    expect(await lease(60, 100, "job")).toBeUndefined();
  });

  it("gives every item once to many workers with lanes", async () => {
    await add(Array.from({ length: 300 }, (_, number) => sampleItem(number, { lane: number % 3 ? String(number % 3) : null })));
    const done: number[] = [];
    const worker = async () => {
      for (let idle = 0; idle < 5; ) {
        const item = await lease();
        idle = item ? 0 : idle + 1;
        if (!item) continue;
        done.push(item.number);
        expect(await items.update(item, updateOf(item, { state: "done" }))).toBe(true);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    const lane = done.filter((number) => number % 3 === 1);
    expect(lane).toEqual(lane.toSorted((a, b) => a - b));
  });

  it("has no item and no lane in two hands at a time, and counts exactly, with many workers", async () => {
    const laneOf = (number: number) => (number % 4 ? String(number % 4) : null);
    await add(Array.from({ length: 200 }, (_, number) => sampleItem(number, { lane: laneOf(number) })));
    const held = new Set<string>();
    const worker = async () => {
      while ((await items.summarize("job")).done < 200) {
        const item = await lease();
        if (!item) continue;
        const hold = item.lane === null ? `item ${item.number}` : `lane ${item.lane}`;
        expect(held.has(hold)).toBe(false);
        held.add(hold);
        expect(await items.update(item, updateOf(item, { leaseUntilMs: 200 }))).toBe(true);
        held.delete(hold);
        const counts = { ...item.counts, published: item.counts.published + 1 };
        expect(await items.update(item, updateOf(item, { state: "done", counts }))).toBe(true);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(await items.summarize("job")).toMatchObject({ done: 200, planned: 0, leased: 0, counts: { indexed: 200, published: 200 } });
  });

  it("sums a job up from its items", async () => {
    const failures = [
      { id: "x", reason: "publish_error", detail: "", entry: null },
      { id: "y", reason: "storage_error", detail: "", entry: null },
    ] satisfies WorkItem["failures"];
    await add(
      [0, 1, 2, 3, 4, 5].map((number) =>
        sampleItem(number, { counts: { indexed: 10, fetched: 0, deserialized: 0, published: 0, verified: 0 } }),
      ),
    );
    await add([sampleItem(0, { jobId: "other" })]);
    const counts = { indexed: 10, fetched: 9, deserialized: 8, published: 7, verified: 6 };
    for (const [number, state] of ["done", "done", "failed", "cancelled"].entries()) {
      await items.update(
        sampleItem(number),
        updateOf(sampleItem(number), { state: state as ItemUpdate["state"], counts, failures: number === 1 ? [] : failures }),
      );
    }
    await lease(0, 100, "job");
    expect(await items.summarize("job")).toEqual({
      counts: { indexed: 60, fetched: 36, deserialized: 32, published: 28, verified: 24 },
      planned: 1,
      leased: 1,
      done: 2,
      failed: 1,
      cancelled: 1,
      failures: 6,
    });
    expect(await items.summarize("none")).toEqual({
      counts: NO_COUNTS,
      planned: 0,
      leased: 0,
      done: 0,
      failed: 0,
      cancelled: 0,
      failures: 0,
    });
  });

  it("lists by state, failures and number", async () => {
    const failures = [{ id: "x", reason: "publish_error", detail: "", entry: null }] satisfies WorkItem["failures"];
    await add([sampleItem(3), sampleItem(1, { state: "done" }), sampleItem(2, { state: "failed", failures }), sampleItem(4, { failures })]);
    const numbers = async (query: Parameters<WorkItems["list"]>[1]) => (await items.list("job", query)).map((item) => item.number);
    expect(await numbers({ limit: 9 })).toEqual([1, 2, 3, 4]);
    expect(await numbers({ limit: 2, after: 1 })).toEqual([2, 3]);
    expect(await numbers({ limit: 9, states: ["done", "failed"] })).toEqual([1, 2]);
    expect(await numbers({ limit: 9, withFailures: true })).toEqual([2, 4]);
    expect(await numbers({ limit: 9, withFailures: true, states: ["planned"], after: 2 })).toEqual([4]);
    expect(await numbers({ limit: 9, states: [] })).toEqual([]);
  });
});
