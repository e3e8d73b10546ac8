import { z } from "zod";
import { parseFilter } from "../../core/filter/parse.ts";
import { parseTime } from "../../core/filter/time.ts";
import type { ResubmitRequest, Selection } from "../../core/resubmit/request.ts";
import { booleanParameter, integerParameter } from "../http/parameters.ts";

const MAX_COUNT = 999_999_999_999;
const RATE = /^\d{1,7}(\.\d{1,3})?$/;

const rateParameter = z
  .string()
  .regex(RATE, "must be a number of at most 7 digits and 3 decimals")
  .transform(Number)
  .refine((rate) => rate > 0, "must be above 0");

/** Parameters of every resubmission. */
export const resubmitQuery = z.strictObject({
  topic: z.string().min(1, "must name a destination").max(255).describe("Name of the destination."),
  offset: integerParameter(0, MAX_COUNT).optional().describe("Matches to pass over, in the order of publish time and unique id."),
  limit: integerParameter(1, MAX_COUNT).optional().describe("Matches to send at most."),
  dry_run: booleanParameter().optional().describe("Only tell what would be sent."),
  ordered: booleanParameter().optional().describe("Publish in order per ordering key or source partition."),
  rate: rateParameter.optional().describe("Messages per second at most."),
  annotate: booleanParameter().optional().describe("Add `persistor-original-*` attributes; otherwise messages go out unaltered."),
});

const idSchema = z.string().min(1, "must not be empty").max(2_000);

export const idsBody = z.strictObject({ ids: z.array(idSchema).min(1, "must hold an id").describe("Unique ids.") });

export const rangeBody = z.strictObject({
  broker_id: z.string().min(1, "must not be empty").max(1_000).describe("The source's id."),
  lb: z.string().optional().describe("Published at or after this time, RFC 3339; default: the beginning."),
  ub: z.string().optional().describe("Published before this time, RFC 3339; default: now."),
});

export type ResubmitQuery = z.output<typeof resubmitQuery>;

export function selectIds({ ids }: z.output<typeof idsBody>): Selection {
  return { kind: "ids", ids };
}

/** Throws InvalidInput where a bound is no time. */
export function selectRange({ broker_id, lb, ub }: z.output<typeof rangeBody>): Selection {
  return { kind: "range", brokerId: broker_id, fromMs: timeOf("lb", lb), toMs: timeOf("ub", ub) };
}

/** Throws InvalidInput naming the place in the filter. */
export function selectFilter(body: unknown): Selection {
  return { kind: "filter", filter: parseFilter(body), body };
}

export function requestOf(collection: string, query: ResubmitQuery, selection: Selection): ResubmitRequest {
  const { topic, offset = 0, limit = null, ordered = false, rate = null, annotate = false } = query;
  return { collection, topic, selection, offset, limit, ordered, rate, annotate };
}

function timeOf(path: string, text: string | undefined): number | null {
  return text === undefined ? null : parseTime(text, path);
}
