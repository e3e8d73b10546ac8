import { randomUUID } from "node:crypto";
import { z } from "zod";
import { sha256Hex } from "../../core/digest.ts";
import { filterBodySchema } from "../../core/filter/schema.ts";
import type { Selection } from "../../core/resubmit/request.ts";
import type { Caller } from "../auth/authorize.ts";
import type { Composition } from "../compose.ts";
import { HttpError, notFound } from "../http/problem.ts";
import { defineRoute, type Reply, type Route, type RouteContext } from "../http/route.ts";
import type { JobDriver } from "../jobs/driver.ts";
import { acceptedDoc, answerDoc, dryRunDoc } from "./docs.ts";
import { idsBody, type ResubmitQuery, rangeBody, requestOf, resubmitQuery, selectFilter, selectIds, selectRange } from "./schemas.ts";
import { dryRunAnswer, type ResubmitAnswer, submit } from "./submit.ts";

const params = z.strictObject({ collection: z.string() });
const MAX_KEY_LENGTH = 255;
/** Longer than a synchronous answer takes, so that the answer is the job and not an error. */
const LIMIT_MS = 40_000;

const responses = {
  200: {
    description: "All that matched went out (also when nothing matched); with `dry_run` what would be sent.",
    schema: z.union([answerDoc, dryRunDoc]),
  },
  202: { description: "The job goes on; `Location` leads to it.", schema: acceptedDoc },
  206: { description: "Some messages could not be resubmitted; each is named.", schema: answerDoc },
};

/** The three ways to ask for a resubmission. */
export function resubmitRoutes(composition: Composition, driver: JobDriver): Route[] {
  const handle = (context: RouteContext<{ collection: string }, ResubmitQuery, unknown>, select: () => Selection) =>
    resubmit(context, select, composition, driver);
  const shared = {
    method: "POST",
    tags: ["Resubmitter"],
    params,
    query: resubmitQuery,
    bodyInHeader: true,
    limitMs: LIMIT_MS,
    responses,
  } as const;
  return [
    defineRoute({
      ...shared,
      path: "/resubmit/{collection}",
      operationId: "resubmitIds",
      summary: "Send the messages of these ids again",
      body: idsBody,
      handler: (context) => handle(context, () => selectIds(context.body)),
    }),
    defineRoute({
      ...shared,
      path: "/range/{collection}",
      operationId: "resubmitRange",
      summary: "Send a source's messages of a time range again",
      body: rangeBody,
      handler: (context) => handle(context, () => selectRange(context.body)),
    }),
    defineRoute({
      ...shared,
      path: "/query/{collection}",
      operationId: "resubmitQuery",
      summary: "Send the messages that a filter matches again",
      body: z.unknown(),
      bodyDoc: filterBodySchema,
      handler: (context) => handle(context, () => selectFilter(context.body)),
    }),
  ];
}

async function resubmit(
  { params: { collection }, query, body, header, caller, signal }: RouteContext<{ collection: string }, ResubmitQuery, unknown>,
  select: () => Selection,
  composition: Composition,
  driver: JobDriver,
): Promise<Reply> {
  checkCollection(collection, caller, composition);
  checkDestination(query.topic, caller, composition);
  const request = requestOf(collection, query, select());
  if (query.dry_run) return { body: await dryRunAnswer(request, composition) };
  const key = idempotencyKeyOf(header("idempotency-key"));
  const submitted = await submit(
    request,
    {
      createdBy: caller.id,
      newId: randomUUID,
      idempotencyKey: key === undefined ? null : JSON.stringify([caller.id, "POST", request.selection.kind, collection, key]),
      requestHash: sha256Hex(JSON.stringify([query, body])),
      respondAsync: /(^|[,;\s])respond-async([,;\s]|$)/i.test(header("prefer") ?? ""),
      signal,
    },
    composition,
    driver,
  );
  if (submitted.kind === "key_reused") throw new HttpError(422, "the Idempotency-Key was used for another request; use a new key");
  if (submitted.kind === "accepted")
    return { status: 202, headers: { location: `/resubmitter/jobs/${submitted.job}` }, body: { job: submitted.job } };
  return replyOf(submitted.answer);
}

function replyOf(answer: ResubmitAnswer): Reply {
  if (answer.status < 400) return { status: answer.status, body: answer };
  const { summary, errors, job } = answer;
  throw new HttpError(400, `${answer.msg}: ${errors.pipeline_errors[0]?.reason ?? "no message was published"}`, {
    members: { job, summary, errors },
  });
}

/** What a caller may not read does not exist for it. */
export function checkCollection(collection: string, caller: Caller, composition: Composition): void {
  if (composition.pipelinesOf(collection).length === 0 || !caller.canRead(collection)) throw notFound("there is no such collection");
}

function checkDestination(topic: string, caller: Caller, composition: Composition): void {
  if (!caller.canPublish(topic)) throw new HttpError(403, `publishing to ${topic} was not granted to this caller`);
  if (!composition.hasDestination(topic)) throw notFound("there is no such destination");
}

function idempotencyKeyOf(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  if (key.length >= 1 && key.length <= MAX_KEY_LENGTH) return key;
  throw new HttpError(400, "the Idempotency-Key must have 1 to 255 characters", {
    members: { errors: [{ path: "Idempotency-Key", message: "must have 1 to 255 characters" }] },
  });
}
