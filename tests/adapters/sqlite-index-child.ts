import { openIndex, openJobs } from "../../shared/adapters/indexes/sqlite/adapter.ts";
import { sampleRecords } from "./index-samples.ts";
import { sampleJob } from "./job-samples.ts";

// Writes without end until it is killed, and tells by one line each what was confirmed. Arguments: data folder, round.
const [dataDir = "", round = ""] = process.argv.slice(2);

const RECORDS_PER_CALL = 200;
const index = await openIndex({}, { dataDir });
const { jobs } = await openJobs({}, { dataDir });

async function upsertForEver(lane: number): Promise<void> {
  for (let call = 0; ; call++) {
    const prefix = `${round}-${lane}-${call}`;
    await index.upsert(
      "orders",
      sampleRecords(RECORDS_PER_CALL, (n) => ({
        unique_id: `${prefix}-${n}`,
        attributes: [
          ["call", prefix],
          ["n", String(n)],
        ],
      })),
    );
    process.stdout.write(`index ${prefix}\n`);
  }
}

async function updateForEver(): Promise<void> {
  let job = await jobs.insert(sampleJob(`job-${round}`));
  for (;;) {
    const updated = await jobs.update({ ...job, nextItem: job.nextItem + 1 });
    if (!updated) throw new Error("updating the job: another wrote it");
    job = updated;
    process.stdout.write(`job ${job.id} ${job.nextItem}\n`);
  }
}

await Promise.all([upsertForEver(0), upsertForEver(1), updateForEver()]);
