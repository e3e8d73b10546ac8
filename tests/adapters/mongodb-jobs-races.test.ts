import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { harness } from "../../shared/adapters/indexes/mongodb/harness.ts";
import type { JobDatabase } from "../../shared/adapters/registry.ts";
import type { Job } from "../../shared/core/ports/job-store.ts";
import type { ItemUpdate, WorkItem, WorkItems } from "../../shared/core/ports/work-items.ts";
import { runUntilKilled } from "../contract/support-kills.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { startTcpGate, type TcpGate } from "../services/tcp-gate.ts";
import { sampleItem, sampleJob } from "./job-samples.ts";
import { type SharedJobs, shareJobs, stepOf } from "./mongo-job-databases.ts";

const KILLS = 6;

describeWhere(harness.missing?.(), "jobs on MongoDB, of many processes", () => {
  let shared: SharedJobs;
  let healthy: JobDatabase;

  beforeEach(async () => {
    shared = await shareJobs();
    healthy = shared.open();
  });
  afterEach(() => shared.end());
  afterAll(() => harness.stop?.());

  test("planners and workers of two processes, killed at any moment, leave whole steps of one planner each, and all that was confirmed", async () => {
    await healthy.jobs.insert(sampleJob("job"));
    const said = { planned: new Set<string>(), done: new Set<string>() };
    for (let round = 0; round < KILLS; round++) {
      const { uri, database } = shared.settings;
      const run = (process: string) =>
        runUntilKilled("mongo-plan-until-killed.ts", [uri, database, `${round}${process}`], Math.random() * 400);
      for (const sayings of await Promise.all(["a", "b"].map(run))) {
        for (const step of sayings.get("planned") ?? []) said.planned.add(step);
        for (const number of sayings.get("done") ?? []) said.done.add(number);
      }
    }
    const job = (await healthy.jobs.get("job")) as Job;
    const items = await healthy.items.list("job", { limit: 100_000 });
    const steps = Map.groupBy(items, ({ entries }) => entries.ids[0] as string);

    expect(said.planned.size).toBeGreaterThan(0);
    expect(items.map(({ number }) => number)).toEqual(Array.from({ length: job.nextItem }, (_, number) => number));
    for (const step of steps.values()) {
      const first = step[0]?.number ?? 0;
      expect(step.map(({ number }) => number)).toEqual([first, first + 1, first + 2]);
    }
    expect([...said.planned.difference(new Set(steps.keys()))]).toEqual([]);
    const done = new Set(items.filter(({ state }) => state === "done").map(({ number }) => String(number)));
    expect([...said.done.difference(done)]).toEqual([]);
    await healthy.jobs.update({ ...job, state: "cancelled" });
    expect(await shared.countDrafts()).toBe(0);
  });

  test("eight workers at once have no item and no lane twice at a time, and finish each once", async () => {
    const lanes = ["a", "b", "c", null, null];
    const planned = Array.from({ length: 200 }, (_, number) => sampleItem(number, { lane: lanes[number % lanes.length] as string | null }));
    await healthy.jobs.update(await healthy.jobs.insert(sampleJob("job")), planned);
    const work = observedWork();
    await Promise.all(Array.from({ length: 8 }, () => work.until(shared.open().items, 200)));
    expect(work.faults).toEqual([]);
    expect(await healthy.items.summarize("job")).toMatchObject({
      done: 200,
      planned: 0,
      leased: 0,
      counts: { indexed: 200, published: 200 },
    });
  });

  test("planners and workers whose connections break again and again come to the same end", async ({ skip }) => {
    skip(shared.kind === "given", "a server that is given may not be reached by another address");
    const gate = await startTcpGate(Number(new URL(shared.settings.uri).port));
    const uri = `mongodb://127.0.0.1:${gate.port}/?directConnection=true&heartbeatFrequencyMS=500`;
    await healthy.jobs.insert(sampleJob("job"));
    const ending = new AbortController();
    const breaking = breakOften(gate, ending.signal);
    const finished: number[] = [];
    const working = Promise.all(Array.from({ length: 3 }, () => workTo(60, shared.open(uri), finished)));
    await Promise.all(Array.from({ length: 2 }, (_, planner) => planTo(60, shared.open(uri), `p${planner}`)));
    await working;
    ending.abort();
    await breaking;
    await shared.closeAll();
    await gate.stop();
    const all = Array.from({ length: 60 }, (_, number) => number);
    const items = await shared.open().items.list("job", { limit: 999 });
    expect(items.map(({ number, state, counts }) => [number, state, counts.published])).toEqual(all.map((number) => [number, "done", 1]));
    expect(new Set(finished).size).toBe(finished.length);
  });
});

async function breakOften(gate: TcpGate, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(150 + Math.random() * 300);
    await gate.shut();
    await sleep(Math.random() * 20);
    await gate.open();
  }
}

/** Plans steps of four items, all of one lane, until the job has `count`, whatever fails. */
function planTo(count: number, { jobs }: JobDatabase, by: string): Promise<void> {
  return untilDone(async () => {
    const job = (await jobs.get("job")) as Job;
    if (job.nextItem >= count) return true;
    await jobs.update(...stepOf(job, by, 4));
    return false;
  });
}

/** Works until `count` items of the job are done, whatever fails; notes the items that it finished. */
function workTo(count: number, { items }: JobDatabase, finished: number[]): Promise<void> {
  return untilDone(async () => {
    const item = await items.lease({ jobId: "job", nowMs: Date.now(), leaseMs: 200 });
    if (!item) return (await items.summarize("job")).done >= count;
    const update: ItemUpdate = { ...item, state: "done", counts: { ...item.counts, published: item.counts.published + 1 } };
    if (await items.update(item, update)) finished.push(item.number);
    return false;
  });
}

async function untilDone(attempt: () => Promise<boolean>): Promise<void> {
  for (;;) {
    try {
      if (await attempt()) return;
    } catch (error) {
      expect(error).toMatchObject({ code: "job_store_unavailable", retryable: true });
    }
  }
}

/** Workers that note what must not be: an item or a lane in two hands, a lane out of order. */
function observedWork() {
  const held = new Set<string>();
  const lastOfLane = new Map<string, number>();
  const faults: string[] = [];
  const begin = ({ number, lane }: WorkItem, holds: readonly string[]) => {
    for (const hold of holds) if (held.has(hold)) faults.push(`${hold} is held already`);
    for (const hold of holds) held.add(hold);
    if (lane === null) return;
    if ((lastOfLane.get(lane) ?? -1) >= number) faults.push(`item ${number} comes late in lane ${lane}`);
    lastOfLane.set(lane, number);
  };
  const doOne = async (items: WorkItems): Promise<void> => {
    // Leases do not end here: an item that comes twice was given twice.
    const item = await items.lease({ jobId: "job", nowMs: 0, leaseMs: 1 });
    if (!item) return sleep(5);
    const holds = item.lane === null ? [`item ${item.number}`] : [`item ${item.number}`, `lane ${item.lane}`];
    begin(item, holds);
    await sleep(1);
    for (const hold of holds) held.delete(hold);
    const update: ItemUpdate = { ...item, state: "done", counts: { ...item.counts, published: 1 } };
    if (!(await items.update(item, update))) faults.push(`item ${item.number} was taken away`);
  };
  return {
    faults,
    /** Works until `count` items of the job are done. */
    async until(items: WorkItems, count: number): Promise<void> {
      while ((await items.summarize("job")).done < count) await doOne(items);
    },
  };
}
