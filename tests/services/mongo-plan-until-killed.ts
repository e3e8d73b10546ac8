import { writeSync } from "node:fs";
import { openConnection } from "../../shared/adapters/indexes/mongodb/connection.ts";
import { openJobDatabase } from "../../shared/adapters/indexes/mongodb/jobs.ts";
import { sampleEntries, sampleItem } from "../adapters/job-samples.ts";

/* Run as a process of its own, to be killed: plans and works the job `job` of the database given, and tells each step that is confirmed. */
const [uri, database, name] = process.argv.slice(2) as [string, string, string];
const STEP_ITEMS = 3;
const { jobs, items } = openJobDatabase(openConnection({ uri, database }));
await jobs.get("job");
writeSync(1, "ready \n");

async function planOn(planner: number): Promise<never> {
  for (let i = 0; ; i++) {
    const step = `${name}-${planner}-${i}`;
    const job = await jobs.get("job");
    if (!job) throw new Error("there is no job");
    const planned = Array.from({ length: STEP_ITEMS }, (_, n) =>
      sampleItem(job.nextItem + n, { lane: String(n), entries: sampleEntries([step]) }),
    );
    if (await jobs.update({ ...job, nextItem: job.nextItem + STEP_ITEMS }, planned)) writeSync(1, `planned ${step}\n`);
  }
}

async function workOn(): Promise<never> {
  for (;;) {
    const item = await items.lease({ nowMs: Date.now(), leaseMs: 50 });
    if (item && (await items.update(item, { ...item, state: "done" }))) writeSync(1, `done ${item.number}\n`);
  }
}

await Promise.all([planOn(0), planOn(1), workOn()]);
