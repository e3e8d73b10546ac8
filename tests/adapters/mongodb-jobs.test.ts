import { BSON } from "mongodb";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { harness } from "../../shared/adapters/indexes/mongodb/harness.ts";
import type { JobDatabase } from "../../shared/adapters/registry.ts";
import type { Job } from "../../shared/core/ports/job-store.ts";
import type { WorkItem } from "../../shared/core/ports/work-items.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { sampleItem, sampleJob } from "./job-samples.ts";
import type { Fate } from "./mongo-faults.ts";
import { type SharedJobs, shareJobs, stepOf } from "./mongo-job-databases.ts";

/** More than one command takes, so that a step is also cut in its midst. */
const STEP_ITEMS = 103;
/** Two commands for the drafts, the job, two for the items, the job's mark, the drafts' end. */
const STEP_WRITES = 7;

const authorsOf = (items: readonly WorkItem[]) => items.map(({ entries }) => entries.ids[0]);

describeWhere(harness.missing?.(), "jobs on MongoDB, cut off at each write", () => {
  let shared: SharedJobs;
  let healthy: JobDatabase;

  beforeEach(async () => {
    shared = await shareJobs();
    healthy = shared.open();
  });
  afterEach(() => shared.end());
  afterAll(() => harness.stop?.());

  /** A planner that dies once its step is committed. */
  async function leaveUnsettled(): Promise<Job> {
    const job = await healthy.jobs.insert(sampleJob("job"));
    const dying = shared.openFaulty((write) => (write === 1 ? "dies after" : "done"));
    await dying.jobs.update(...stepOf(job, "dead", 2)).catch(() => undefined);
    return { ...job, nextItem: 2, revision: 1 };
  }

  /** Runs `round` with a fault at the first write, the second, and so on, until there is no such write. */
  async function atEachWrite(fate: Fate, round: (id: string, faulty: JobDatabase) => Promise<void>): Promise<number> {
    for (let at = 0; ; at++) {
      const faulty = shared.openFaulty((write) => (write === at ? fate : "done"));
      await round(`${fate}-${at}`, faulty);
      if (faulty.writes() <= at) return at;
    }
  }

  test.each<Fate>(["dies before", "dies after"])("a planner that %s any of its writes leaves its whole step, or nothing", async (fate) => {
    const seen = new Set<boolean>();
    const cuts = await atEachWrite(fate, async (id, dying) => {
      const first = (await healthy.jobs.update(...stepOf(await healthy.jobs.insert(sampleJob(id)), "first", 1))) as Job;
      const told = await dying.jobs.update(...stepOf(first, "dead", STEP_ITEMS)).catch(() => "no answer");
      const job = (await healthy.jobs.get(id)) as Job;
      const isWhole = job.revision > first.revision;
      seen.add(isWhole);
      if (told !== "no answer") expect(isWhole).toBe(true);

      const dead = isWhole ? Array.from({ length: STEP_ITEMS }, (_, i) => `dead-${i + 1}`) : [];
      expect(job.nextItem).toBe(1 + dead.length);
      const leased = await healthy.items.lease({ jobId: id, nowMs: 0, leaseMs: 1 });
      expect(leased?.number).toBe(0);
      expect(await healthy.items.lease({ jobId: id, nowMs: 0, leaseMs: 1 })).toBeUndefined();
      expect(await healthy.items.summarize(id)).toMatchObject({ leased: 1, planned: dead.length });
      expect(authorsOf(await healthy.items.list(id, { limit: 999 }))).toEqual(["first-0", ...dead]);

      const [next, items] = stepOf(job, "next", 2);
      expect(await healthy.jobs.update(next, items)).toEqual({ ...next, revision: job.revision + 1 });
      expect(authorsOf(await healthy.items.list(id, { limit: 999 }))).toEqual(["first-0", ...dead, ...authorsOf(items)]);
      expect(await shared.countDrafts()).toBe(0);
    });
    expect(cuts).toBe(STEP_WRITES);
    expect(seen).toEqual(new Set([true, false]));
  });

  test("a step that was committed and no more is settled by the next planner of the job, who need not read it", async () => {
    const [next, items] = stepOf(await leaveUnsettled(), "next", 1);
    expect(await healthy.jobs.update(next, items)).toEqual({ ...next, revision: 2 });
    expect(authorsOf(await healthy.items.list("job", { limit: 9 }))).toEqual(["dead-0", "dead-1", "next-2"]);
  });

  test("what a dead planner drafted goes when its job ends", async () => {
    const job = await healthy.jobs.insert(sampleJob("job"));
    const dying = shared.openFaulty((write) => (write === 1 ? "dies before" : "done"));
    await expect(dying.jobs.update(...stepOf(job, "dead", 2))).rejects.toMatchObject({ code: "job_store_unavailable", retryable: true });
    expect(await shared.countDrafts()).toBe(2);
    await healthy.jobs.update({ ...job, state: "cancelled" });
    expect(await shared.countDrafts()).toBe(0);
  });

  test("an update knows that it won although an answer was lost", async () => {
    await atEachWrite("answer lost", async (id, faulty) => {
      const job = await healthy.jobs.insert(sampleJob(id));
      const [next, items] = stepOf(job, "only", 2);
      expect(await faulty.jobs.update(next, items)).toEqual({ ...next, revision: 1 });
      expect(await healthy.jobs.get(id)).toEqual({ ...next, revision: 1 });
      expect(await healthy.items.list(id, { limit: 9 })).toEqual(items);
    });
  });

  test("an update whose answer was lost says that it lost where another's revision is the next", async () => {
    const job = await healthy.jobs.insert(sampleJob("job"));
    const faulty = shared.openFaulty(async (): Promise<Fate> => {
      await healthy.jobs.update({ ...job, plannedCount: 7 });
      return "answer lost";
    });
    expect(await faulty.jobs.update({ ...job, plannedCount: 8 })).toBeUndefined();
  });

  test("an update does not guess where its answer was lost and the job has gone on by two revisions", async () => {
    const job = await healthy.jobs.insert(sampleJob("job"));
    const faulty = shared.openFaulty(async (): Promise<Fate> => {
      await healthy.jobs.update({ ...job, plannedCount: 7 });
      await healthy.jobs.update({ ...job, plannedCount: 8, revision: 1 });
      return "answer lost";
    });
    await expect(faulty.jobs.update({ ...job, plannedCount: 9 })).rejects.toMatchObject({ code: "job_store_unavailable" });
  });

  test.each<Fate>(["answer lost", "dies before", "dies after"])(
    "a key keeps its first job: %s at any write of the request",
    async (fate) => {
      await atEachWrite(fate, async (id, faulty) => {
        const first = sampleJob(`${id}-first`, { idempotencyKey: id });
        const told = await faulty.jobs.insert(first).catch(() => "no answer");
        const stored = await healthy.jobs.insert(sampleJob(`${id}-second`, { idempotencyKey: id }));
        if (told !== "no answer") expect(stored).toEqual(told);
        expect(await healthy.jobs.get(stored.id)).toEqual(stored);
        expect((await healthy.jobs.list({ limit: 99 })).filter(({ idempotencyKey }) => idempotencyKey === id)).toEqual([stored]);
      });
    },
  );

  test("an item whose lease was given and not told comes back when that lease is over", async () => {
    await healthy.jobs.update(await healthy.jobs.insert(sampleJob("job")), [sampleItem(0), sampleItem(1)]);
    const faulty = shared.openFaulty((write) => (write === 0 ? "answer lost" : "done"));
    expect(await faulty.items.lease({ nowMs: 0, leaseMs: 100 })).toMatchObject({ number: 1, attempt: 1 });
    expect(await healthy.items.lease({ nowMs: 99, leaseMs: 100 })).toBeUndefined();
    expect(await healthy.items.lease({ nowMs: 100, leaseMs: 100 })).toMatchObject({ number: 0, attempt: 2 });
  });

  test("a step that comes half settled while a worker looks gives the first of a lane, not the first that stands", async () => {
    const job = await healthy.jobs.insert(sampleJob("job"));
    let isCommitted = false;
    const looking = shared.openFaulty(
      () => "done",
      async () => {
        if (isCommitted) return;
        isCommitted = true;
        const dying = shared.openFaulty((write) => (write === 1 ? "dies after" : "done"));
        await dying.jobs.update(...stepOf(job, "dead", 3)).catch(() => undefined);
        await shared.inDatabase(async (db) => {
          const last = await db.collection("item_drafts").findOne({ "item.number": 2 });
          await db.collection("work_items").insertOne(last?.["item"]);
        });
      },
    );
    expect(await looking.items.lease({ jobId: "job", nowMs: 0, leaseMs: 1 })).toMatchObject({ number: 0 });
    expect(isCommitted).toBe(true);
  });

  test("a step that was committed and no more is settled by any number of readers at once", async () => {
    await leaveUnsettled();
    const readers = Array.from({ length: 8 }, () => shared.open().items);
    const seen = await Promise.all(readers.map((items) => items.summarize("job")));
    expect(seen.map(({ planned }) => planned)).toEqual(readers.map(() => 2));
    expect(await shared.countDrafts()).toBe(0);
  });

  test("a committed step whose items were removed by hand is told, not passed over", async () => {
    await leaveUnsettled();
    await shared.inDatabase((db) => db.collection("item_drafts").deleteOne({ "item.number": 1 }));
    await expect(healthy.items.summarize("job")).rejects.toMatchObject({
      code: "job_store_unavailable",
      message: expect.stringMatching(/1 items of a plan step are gone from the collection item_drafts/),
    });
  });

  test("a job's document does not grow with its plan steps", async () => {
    let job = await healthy.jobs.insert(sampleJob("job", { nextItem: 100 }));
    const sizes: number[] = [];
    for (let step = 0; step < 30; step++) {
      job = (await healthy.jobs.update(...stepOf(job, "p", 2))) as Job;
      const stored = await shared.inDatabase((db) => db.collection("jobs").findOne({}));
      sizes.push(BSON.calculateObjectSize(stored ?? {}));
    }
    // The revision comes to have two digits.
    expect((sizes.at(-1) ?? 0) - (sizes[0] ?? 0)).toBe(1);
  });
});
