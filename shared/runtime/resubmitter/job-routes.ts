import { z } from "zod";
import { InvalidInput } from "../../core/errors.ts";
import type { Job, JobState } from "../../core/ports/job-store.ts";
import { cancelJob, closeIfDone, failuresOf, resumeJob } from "../../core/resubmit/jobs.ts";
import type { Caller } from "../auth/authorize.ts";
import type { Composition } from "../compose.ts";
import { integerParameter } from "../http/parameters.ts";
import { notFound } from "../http/problem.ts";
import { defineRoute, type Route } from "../http/route.ts";
import type { JobDriver } from "../jobs/driver.ts";
import { jobView } from "../jobs/views.ts";
import { failuresDoc, jobDoc, jobsDoc, stateDoc } from "./docs.ts";

const params = z.strictObject({ id: z.string() });
const limit = integerParameter(1, 1_000).optional().describe("At most so many; 100 by default.");
const cursor = z.string().max(500).optional().describe("Where the page before ended.");
const DEFAULT_LIMIT = 100;
const tags = ["Jobs"];

/** Everything about the jobs of resubmissions. A job of a collection that the caller may not read does not exist for it. */
export function jobRoutes(composition: Composition, driver: JobDriver): Route[] {
  const { jobs, items, clock } = composition;
  const view = async (job: Job) => ({ body: await jobView(job, items, clock.nowMs()) });
  const find = async (id: string, caller: Caller) => visible(await closeIfDone(id, composition), caller);
  return [
    defineRoute({
      method: "GET",
      path: "/jobs",
      operationId: "listJobs",
      summary: "Jobs, the newest first",
      tags,
      query: z.strictObject({
        state: stateDoc.optional(),
        collection: z.string().optional().describe("Only jobs of this collection."),
        limit,
        cursor,
      }),
      responses: { 200: { description: "A page of jobs.", schema: jobsDoc } },
      handler: async ({ query, caller }) => {
        const readable = composition
          .collections()
          .filter(({ name }) => caller.canRead(name) && (query.collection === undefined || query.collection === name));
        if (query.collection !== undefined && readable.length === 0) throw notFound("there is no such collection");
        const size = query.limit ?? DEFAULT_LIMIT;
        const states = query.state ? [query.state as JobState] : undefined;
        const after = query.cursor === undefined ? undefined : readJobCursor(query.cursor);
        const page = await jobs.list({ kind: "resubmit", states, collections: readable.map(({ name }) => name), after, limit: size });
        const last = page.at(-1);
        const next = last && page.length === size ? writeCursor([last.createdAtMs, last.id]) : null;
        return { body: { jobs: await Promise.all(page.map((job) => jobView(job, items, clock.nowMs()))), cursor: next } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/jobs/{id}",
      operationId: "getJob",
      summary: "One job: its state, counts and progress",
      tags,
      params,
      responses: { 200: { description: "The job.", schema: jobDoc } },
      handler: async ({ params: { id }, caller }) => view(await find(id, caller)),
    }),
    defineRoute({
      method: "GET",
      path: "/jobs/{id}/failures",
      operationId: "listFailures",
      summary: "The messages that could not be resubmitted",
      tags,
      params,
      query: z.strictObject({ limit, cursor }),
      responses: { 200: { description: "A page of failures.", schema: failuresDoc } },
      handler: async ({ params: { id }, query, caller }) => {
        await find(id, caller);
        const after = query.cursor === undefined ? null : readFailureCursor(query.cursor);
        const { failures, next } = await failuresOf(id, after, query.limit ?? DEFAULT_LIMIT, items);
        return { body: { failures, cursor: next && writeCursor([next.item, next.row]) } };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/jobs/{id}/cancel",
      operationId: "cancelJob",
      summary: "Stop a job; what is being published still goes out",
      tags,
      params,
      responses: { 200: { description: "The job.", schema: jobDoc } },
      handler: async ({ params: { id }, caller }) => {
        checkPublish(await find(id, caller), caller);
        return view(visible(await cancelJob(id, composition), caller));
      },
    }),
    defineRoute({
      method: "POST",
      path: "/jobs/{id}/resume",
      operationId: "resumeJob",
      summary: "Let a job that has ended go on: where it was cancelled, and failed messages once more",
      tags,
      params,
      body: z.strictObject({ failed_only: z.boolean().default(false).describe("Only what failed.") }).optional(),
      bodyOptional: true,
      responses: { 200: { description: "The job.", schema: jobDoc } },
      handler: async ({ params: { id }, body, caller }) => {
        checkPublish(await find(id, caller), caller);
        const job = visible(await resumeJob(id, body?.failed_only ?? false, composition), caller);
        await driver.start(id);
        return view(job);
      },
    }),
  ];
}

function visible(job: Job | undefined, caller: Caller): Job {
  if (job?.kind !== "resubmit" || !caller.canRead(job.collection)) throw notFound("there is no such job");
  return job;
}

function checkPublish(job: Job, caller: Caller): void {
  if (!caller.canPublish(job.topic)) throw notFound("there is no such job");
}

function writeCursor(parts: readonly [number, number | string]): string {
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

function readJobCursor(text: string) {
  const [createdAtMs, id] = readCursor(text);
  if (typeof id !== "string") throw wrongCursor();
  return { createdAtMs, id };
}

function readFailureCursor(text: string) {
  const [item, row] = readCursor(text);
  if (typeof row !== "number") throw wrongCursor();
  return { item, row };
}

function readCursor(text: string): [number, unknown] {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    throw wrongCursor();
  }
  if (
    !Array.isArray(parts) ||
    parts.length !== 2 ||
    !Number.isSafeInteger(parts[0]) ||
    (typeof parts[1] === "number" && !Number.isSafeInteger(parts[1]))
  )
    throw wrongCursor();
  return [parts[0] as number, parts[1]];
}

function wrongCursor(): InvalidInput {
  return new InvalidInput("reading the cursor: it was not made by this call", [{ path: "cursor", message: "was not made by this call" }]);
}
