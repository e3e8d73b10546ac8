import { audit } from "../../core/maintenance/audit.ts";
import { rebuildIndex } from "../../core/maintenance/rebuild.ts";
import type { Job } from "../../core/ports/job-store.ts";
import { type DriveDeps, driveJob } from "../../core/resubmit/drive.ts";
import { closeIfDone, isFinal } from "../../core/resubmit/jobs.ts";
import type { Composition } from "../compose.ts";

/** What maintenance asks for: one pipeline, by its name. */
export interface MaintenanceRequest {
  pipeline: string;
}

/**
 * Drives a job of any kind until it has ended or `signal` aborts; one that is driven elsewhere too is shared. Returns the job as it stands.
 * Throws IndexError, StoreError.
 */
export async function driveAny(id: string, composition: Composition, signal: AbortSignal): Promise<Job | undefined> {
  const job = await driveByKind(id, driveDeps(composition), composition, signal);
  if (job && isFinal(job)) composition.meter.add("persistor.job.finished", 1, { kind: job.kind, state: job.state });
  return job;
}

async function driveByKind(id: string, deps: DriveDeps, composition: Composition, signal: AbortSignal): Promise<Job | undefined> {
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

export function driveDeps(composition: Composition): DriveDeps {
  const { jobs, items, index, clock, log, meter, pipelines, pipelinesOf, destination } = composition;
  return { jobs, items, index, clock, log, meter, pipelinesOf, pipelineOf: (name) => pipelines.get(name), destination };
}
