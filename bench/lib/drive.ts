import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import type { Publisher } from "../../shared/core/ports/publisher.ts";
import type { WorkCounts } from "../../shared/core/ports/work-items.ts";
import { driveJob } from "../../shared/core/resubmit/drive.ts";
import { newResubmitJob } from "../../shared/core/resubmit/jobs.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { type Composition, compose } from "../../shared/runtime/compose.ts";
import { driveDeps } from "../../shared/runtime/jobs/drive-any.ts";
import { settingsOf } from "./archive.ts";
import { FIRST_PUBLISH_MS, FLIGHTS } from "./flights.ts";
import { peakRssMb } from "./process-usage.ts";

/** Resubmit the first `count` messages of the archive in `dataDir`; 0: only open what that takes. */
export interface DriveOrder {
  dataDir: string;
  count: number;
}

export interface Driven {
  /** From handing in the job until it has ended. */
  jobMs: number;
  /** From handing in the job until the first publish was done. */
  firstOutMs: number;
  peakRssMb: number;
}

const TOPIC = "replay";

/** Runs one resubmission job, alone in its process, and fails unless every message went out, once at least and verified identical. */
export async function measure({ dataDir, count }: DriveOrder): Promise<Driven> {
  const sent = sentMessages(count);
  let firstOutAtMs = Number.NaN;
  const publisher = (inner: Publisher): Publisher => ({
    ...inner,
    async publish(topic, messages) {
      const outcomes = await inner.publish(topic, messages);
      if (Number.isNaN(firstOutAtMs)) firstOutAtMs = performance.now();
      for (const [i, message] of messages.entries()) if (outcomes[i]?.ok) sent.note(message.messageId ?? "");
      return outcomes;
    },
  });
  const composition = await compose(settingsOf(dataDir), { clock: systemClock, log: NO_LOG, meter: NO_METER, wrap: { publisher } });
  const startMs = performance.now();
  if (count > 0) await resubmit(composition, count);
  const jobMs = performance.now() - startMs;
  await composition.close();
  if (sent.distinct() !== count) throw new Error(`resubmitting ${count} messages: ${sent.distinct()} of them were published`);
  return { jobMs, firstOutMs: firstOutAtMs - startMs, peakRssMb: peakRssMb() };
}

async function resubmit(composition: Composition, count: number): Promise<void> {
  const range = { kind: "range", brokerId: FLIGHTS, fromMs: FIRST_PUBLISH_MS, toMs: FIRST_PUBLISH_MS + count } as const;
  const request = {
    collection: FLIGHTS,
    topic: TOPIC,
    selection: range,
    offset: 0,
    limit: null,
    ordered: false,
    rate: null,
    annotate: false,
  };
  const by = { id: "bench", createdBy: "bench", idempotencyKey: null, requestHash: null };
  const job = await composition.jobs.insert(newResubmitJob(request, by, composition.clock.nowMs()));
  const ended = await driveJob(job.id, new AbortController().signal, driveDeps(composition));
  const { counts, failures } = await composition.items.summarize(job.id);
  const steps: (keyof WorkCounts)[] = ["indexed", "fetched", "deserialized", "published", "verified"];
  if (ended?.state === "succeeded" && failures === 0 && steps.every((step) => counts[step] === count)) return;
  throw new Error(`resubmitting ${count} messages: the job is ${ended?.state}, its counts are ${JSON.stringify(counts)}`);
}

/** Which messages went out, one bit each. */
function sentMessages(count: number) {
  const bits = new Uint8Array(Math.ceil(count / 8));
  let found = 0;
  return {
    note(messageId: string): void {
      const i = Number(messageId.slice(messageId.lastIndexOf("_") + 1));
      const bit = 1 << (i & 7);
      if (((bits[i >> 3] ?? bit) & bit) !== 0) return;
      bits[i >> 3] = (bits[i >> 3] ?? 0) | bit;
      found++;
    },
    distinct: () => found,
  };
}
