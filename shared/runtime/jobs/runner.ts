import { errorText } from "../../core/errors.ts";
import { audit } from "../../core/maintenance/audit.ts";
import { rebuildIndex } from "../../core/maintenance/rebuild.ts";
import { type Job, OPEN_STATES } from "../../core/ports/job-store.ts";
import { type DriveDeps, driveJob } from "../../core/resubmit/drive.ts";
import { closeIfDone, isFinal } from "../../core/resubmit/jobs.ts";
import type { Composition } from "../compose.ts";

/** Drives the jobs of one process: those it is asked for, and in the background whatever is open. */
export interface JobRunner {
  /** Starts driving the job, or joins who drives it already; resolves when it has ended or the runner stops. */
  drive(id: string): Promise<Job | undefined>;
  /** Takes up open jobs, also those that a killed process left, until the runner stops. */
  run(): Promise<void>;
  /** Gives back what is under way and resolves when nothing runs any more. */
  stop(): Promise<void>;
}

const SWEEP_MS = 1_000;
const JOBS_AT_ONCE = 4;

/** What maintenance asks for: one pipeline, by its name. */
export interface MaintenanceRequest {
  pipeline: string;
}

export function jobRunner(composition: Composition): JobRunner {
  const { jobs, clock, log } = composition;
  const stopping = new AbortController();
  const driven = new Map<string, Promise<Job | undefined>>();
  const deps = driveDeps(composition);

  const drive = (id: string) => {
    const running = driven.get(id);
    if (running) return running;
    const started = driveAny(id, deps, composition, stopping.signal)
      .then((job) => {
        if (job && isFinal(job)) deps.meter.add("persistor.job.finished", 1, { kind: job.kind, state: job.state });
        return job;
      })
      .finally(() => driven.delete(id));
    driven.set(id, started);
    return started;
  };

  const sweep = async () => {
    const open = await jobs.list({ states: OPEN_STATES, limit: 100 });
    for (const { id } of open.reverse()) {
      if (driven.size >= JOBS_AT_ONCE) return;
      if (!driven.has(id))
        drive(id).catch((error) => log.error("driving a job failed; it is taken up again", { job: id, error: errorText(error) }));
    }
  };

  return {
    drive,
    async run() {
      while (!stopping.signal.aborted) {
        await sweep().catch((error) => log.error("looking for open jobs failed", { error: errorText(error) }));
        await clock.sleep(SWEEP_MS, stopping.signal);
      }
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled(driven.values());
    },
  };
}

export function driveDeps(composition: Composition): DriveDeps {
  const { jobs, items, index, clock, log, meter, pipelines, pipelinesOf, destination } = composition;
  return { jobs, items, index, clock, log, meter, pipelinesOf, pipelineOf: (name) => pipelines.get(name), destination };
}

async function driveAny(id: string, deps: DriveDeps, composition: Composition, signal: AbortSignal): Promise<Job | undefined> {
  const job = await deps.jobs.get(id);
  if (job?.state === "planning") deps.meter.add("persistor.job.started", 1, { kind: job.kind });
  if (!job || job.kind === "resubmit") return driveJob(id, signal, deps);
  const { pipeline: name } = job.request as MaintenanceRequest;
  const pipeline = composition.pipelines.get(name);
  if (!pipeline)
    return deps.jobs.update({ ...job, state: "failed", error: `there is no pipeline ${name} any more`, finishedAtMs: deps.clock.nowMs() });
  await (job.kind === "rebuild" ? rebuildIndex(job, pipeline, { ...deps, signal }) : audit(job, pipeline, { ...deps, signal }));
  return closeIfDone(id, deps);
}
