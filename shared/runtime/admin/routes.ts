import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { JobKind } from "../../core/ports/job-store.ts";
import { isFinal, newJob } from "../../core/resubmit/jobs.ts";
import type { Composition } from "../compose.ts";
import { HttpError, notFound } from "../http/problem.ts";
import { defineRoute, type Route } from "../http/route.ts";
import type { JobDriver } from "../jobs/driver.ts";
import { maintenanceView } from "../jobs/views.ts";

const kinds = z.enum(["rebuild", "audit"]);
const tags = ["Maintenance"];
const maintenanceDoc = z.object({
  id: z.string(),
  kind: kinds,
  state: z.string(),
  pipeline: z.string(),
  collection: z.string(),
  created_by: z.string(),
  created_at: z.string(),
  finished_at: z.string().nullable(),
  progress: z.unknown().describe("What was counted so far."),
  error: z.string().nullable(),
});

/** Makes the job of a rebuild or an audit. Throws HttpError where the pipeline is unknown or has no index. */
export async function startMaintenance(
  kind: JobKind,
  pipelineName: string,
  createdBy: string,
  { pipelines, jobs, clock }: Composition,
): Promise<string> {
  const pipeline = pipelines.get(pipelineName);
  if (!pipeline) throw notFound(`there is no pipeline ${pipelineName}; there are ${[...pipelines.keys()].join(", ")}`);
  if (!pipeline.index) throw new HttpError(409, `pipeline ${pipelineName} has no index; set its index.collection first`);
  const nowMs = clock.nowMs();
  const request = { pipeline: pipelineName };
  const spec = { id: randomUUID(), kind, collection: pipeline.index.collection, topic: "", request, createdBy };
  const { id } = await jobs.insert(
    newJob({ ...spec, upperBoundMs: nowMs, idempotencyKey: null, requestHash: null, progress: null }, nowMs),
  );
  return id;
}

/** Rebuild and audit of a pipeline's index, for administrators. */
export function adminRoutes(composition: Composition, driver: JobDriver): Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/maintenance",
      operationId: "startMaintenance",
      summary: "Rebuild a pipeline's index from its objects, or compare the two",
      tags,
      access: "admin",
      body: z.strictObject({ kind: kinds, pipeline: z.string().describe("The pipeline's name.") }),
      responses: { 202: { description: "The job goes on; `Location` leads to it.", schema: z.object({ job: z.string() }) } },
      handler: async ({ body, caller }) => {
        const job = await startMaintenance(body.kind, body.pipeline, caller.id, composition);
        await driver.start(job);
        return { status: 202, headers: { location: `/admin/maintenance/${job}` }, body: { job } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/maintenance/{id}",
      operationId: "getMaintenance",
      summary: "How far a rebuild or an audit has come",
      tags,
      access: "admin",
      params: z.strictObject({ id: z.string() }),
      responses: { 200: { description: "The job.", schema: maintenanceDoc } },
      handler: async ({ params: { id } }) => {
        const job = await composition.jobs.get(id);
        if (!job || job.kind === "resubmit") throw notFound("there is no such job");
        return { body: maintenanceView(job), headers: isFinal(job) ? undefined : { "retry-after": "1" } };
      },
    }),
  ];
}
