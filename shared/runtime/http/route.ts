import type { z } from "zod";
import type { Log } from "../../core/ports/log.ts";
import type { Caller } from "../auth/authorize.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** What a handler is called with: the request's validated parts and what belongs to this one request. */
export interface RouteContext<P = unknown, Q = unknown, B = unknown> {
  /** As the server gave it. Its body is read already, but for routes with `stream`. */
  readonly request: Request;
  /** One header's value, its name in lower case. */
  header(name: string): string | undefined;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** The body's pieces as they come in; only for routes with `stream`. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly caller: Caller;
  readonly requestId: string;
  /** Aborts when the caller has gone or the time for this request is over. */
  readonly signal: AbortSignal;
  /** Its lines carry the request's id. */
  readonly log: Log;
}

/** What a handler answers. Without `status` 200. */
export interface Reply {
  status?: number;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is in place of `body`, with `headers["content-type"]`. */
  text?: string;
}

/** How an answer is described. */
export interface ResponseDoc {
  description: string;
  /** Of the JSON body; absent: not JSON. */
  schema?: z.ZodType;
  /** Media type, where it is not JSON. */
  contentType?: string;
}

export interface RouteSpec<P extends z.ZodType, Q extends z.ZodObject, B extends z.ZodType> {
  method: Method;
  /** As in OpenAPI: `/exact/{collection}/{id}`; a segment may end in a verb: `/topics/{topic}:publish`. */
  path: string;
  /** Unique; names the function in logs and metrics. */
  operationId: string;
  summary: string;
  description?: string;
  tags: readonly string[];
  /** A strict object: one field for each `{name}` of the path. Default: any text. */
  params?: P;
  /** A strict object whose fields take the parameter's text. Default: no parameters. */
  query?: Q;
  /** Absent: a body is not read. */
  body?: B;
  /** What describes the body where its own schema is looser than what the handler accepts. */
  bodyDoc?: z.ZodType;
  /** The body may be missing; it is then `undefined` for its schema. */
  bodyOptional?: boolean;
  /** The body may stand in the header `x-persistor-request` instead. */
  bodyInHeader?: boolean;
  /** The body is NDJSON of any size, given to the handler piece by piece. */
  stream?: { description: string; schema: z.ZodType };
  /** `public`: no key is needed; `caller`: any caller; `admin`: only who was granted it. Default `caller`. */
  access?: "public" | "caller" | "admin";
  /** True for calls that machines repeat all day: they are not logged where they succeed. */
  quiet?: boolean;
  /** Milliseconds until `signal` aborts; null: never. Default: that of the app. */
  limitMs?: number | null;
  /** Besides the problem documents, which every route has. */
  responses: Readonly<Record<number, ResponseDoc>>;
  handler(context: RouteContext<z.output<P>, z.output<Q>, z.output<B>>): Promise<Reply> | Reply;
}

/** A route whose handler's types are checked already. */
export type Route = RouteSpec<z.ZodType, z.ZodObject, z.ZodType>;

/**
 * Declares one route; the same declaration registers it, validates requests and describes it in OpenAPI.
 *
 * @example
 * defineRoute({
 *   method: "GET", path: "/exact/{collection}/{id}", operationId: "getRecord", summary: "One record", tags: ["Indexer"],
 *   params: z.strictObject({ collection: z.string(), id: z.string() }),
 *   responses: { 200: { description: "The record.", schema: recordSchema } },
 *   handler: async ({ params }) => ({ body: await queries.getOne(params.collection, params.id) }),
 * });
 */
export function defineRoute<
  P extends z.ZodType = z.ZodType<Record<string, string>>,
  Q extends z.ZodObject = z.ZodObject<Record<never, never>>,
  B extends z.ZodType = z.ZodType<undefined>,
>(spec: RouteSpec<P, Q, B>): Route {
  return spec as unknown as Route;
}

/** Routes under one prefix, such as `/indexer`; the prefix of the root is empty. */
export interface Mount {
  prefix: string;
  routes: readonly Route[];
}
