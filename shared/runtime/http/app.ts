import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import { type Context, Hono } from "hono";
import { z } from "zod";
import type { Log } from "../../core/ports/log.ts";
import { ANYONE, type Authorize, type Caller } from "../auth/authorize.ts";
import { type FlushedMeter, type Invocation, invocation } from "../invocation.ts";
import { type BodySource, bodyChunks, checkEncoding, isNdjson, mediaType } from "./body.ts";
import type { HostGuard } from "./host-guard.ts";
import { type ApiInfo, openApiOf } from "./openapi.ts";
import { HttpError, PROBLEM_TYPE, problemOf } from "./problem.ts";
import { defineRoute, type Mount, type Reply, type Route, type RouteContext } from "./route.ts";
import { bodyOf, checkPercent, queryOf, unsupportedType, validated } from "./validate.ts";

export interface AppOptions {
  mounts: readonly Mount[];
  authorize: Authorize;
  log: Log;
  metrics: FlushedMeter;
  /** Looks at every request first. Absent: every host and origin may call. */
  hostGuard?: HostGuard;
  info: ApiInfo;
  /** Milliseconds that a request may take before its signal aborts. Default 60,000. */
  limitMs?: number;
}

/** What the Node server hands over besides the request; absent where a platform or a test calls the app. */
interface ServerBindings {
  incoming?: IncomingMessage;
}
type AppContext = Context<{ Bindings: ServerBindings }>;

const DEFAULT_LIMIT_MS = 60_000;
const JSON_TYPE = "application/json; charset=utf-8";
const FIXED_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** The HTTP application of a host: its mounts, `/openapi.json` over all of them, and problem documents for all that goes wrong. */
export function createApp(options: AppOptions): Hono<{ Bindings: ServerBindings }> {
  const app = new Hono<{ Bindings: ServerBindings }>();
  const mounts: Mount[] = [...options.mounts, { prefix: "", routes: [describingRoute(() => openApiOf(mounts, options.info))] }];
  const methods = new Map<string, string[]>();
  for (const { prefix, routes } of mounts) {
    for (const route of routes) {
      const path = honoPath(prefix + route.path);
      methods.set(path, [...(methods.get(path) ?? []), route.method]);
      app.on(route.method, path, requestHandler(`${prefix}${route.path}`, route, options));
    }
  }
  for (const [path, allowed] of methods) app.all(path, refuser(options, methodRefusal(allowed)));
  app.notFound(refuser(options, () => new HttpError(404, "there is nothing at this path; /openapi.json lists what there is")));
  app.onError((error, c) => failureAnswer(error, requestIdOf(c), options.log));
  return app;
}

/** `/topics/{topic}:publish` in the router's words; the verb is taken off again by `paramsOf`. */
function honoPath(path: string): string {
  return path.replace(/\{(\w+)\}(:\w+)?/g, (_, name: string, verb?: string) => (verb ? `:${name}{[^/]+${verb}}` : `:${name}`));
}

function requestHandler(template: string, route: Route, options: AppOptions): (c: AppContext) => Promise<Response> {
  const verbs = new Map([...template.matchAll(/\{(\w+)\}(:\w+)/g)].map(([, name, verb]) => [name as string, (verb as string).length]));
  const run = invocation(route.operationId, (c: AppContext, run: Invocation) => handle(c, route, verbs, run, options), {
    limitMs: route.limitMs === undefined ? (options.limitMs ?? DEFAULT_LIMIT_MS) : route.limitMs,
    log: options.log,
    metrics: options.metrics,
    onError: (error, { id, log }) => problemReply(error, id, log),
  });
  return async (c) => {
    const startMs = performance.now();
    const id = requestIdOf(c);
    const reply = await run(c, { id, signal: c.req.raw.signal });
    const status = reply.status ?? 200;
    const seconds = (performance.now() - startMs) / 1000;
    options.metrics.record("http.server.request.duration", seconds, {
      "http.request.method": route.method,
      "http.route": template,
      "http.response.status_code": status,
    });
    if (!route.quiet || status >= 400) {
      options.log.info("request", { id, method: route.method, route: template, status, ms: Math.round(seconds * 1e6) / 1e3 });
    }
    return answerOf(withRequestId(reply, id));
  };
}

async function handle(
  c: AppContext,
  route: Route,
  verbs: ReadonlyMap<string, number>,
  run: Invocation,
  options: AppOptions,
): Promise<Reply> {
  const header = (name: string) => c.req.header(name);
  options.hostGuard?.(header);
  const caller = await callerOf(route, header, options.authorize);
  const params = paramsOf(c, route, verbs);
  const query = validated(route.query ?? NO_QUERY, queryOf(c.req.url), "the query");
  const source: BodySource = { request: c.req.raw, incoming: c.env?.incoming };
  if (route.stream) checkStream(header);
  const body = await bodyOf(route, header, source);
  const chunks = bodyChunks(route.stream ? source : NO_BODY);
  const context: RouteContext = {
    request: c.req.raw,
    header,
    params,
    query,
    body,
    chunks,
    caller,
    requestId: run.id,
    signal: run.signal,
    log: run.log,
  };
  return await route.handler(context as Parameters<Route["handler"]>[0]);
}

const NO_QUERY = z.strictObject({});
const NO_BODY: BodySource = { request: new Request("http://localhost") };

async function callerOf(route: Route, header: (name: string) => string | undefined, authorize: Authorize): Promise<Caller> {
  if (route.access === "public") return { ...ANYONE, admin: false };
  const caller = await authorize(header);
  if (route.access === "admin" && !caller.admin) throw new HttpError(403, "this call needs the grant admin");
  return caller;
}

function paramsOf(c: AppContext, route: Route, verbs: ReadonlyMap<string, number>): unknown {
  checkPercent(c.req.path, "the path");
  const params: Record<string, string> = c.req.param();
  for (const [name, length] of verbs) params[name] = (params[name] as string).slice(0, -length);
  return route.params ? validated(route.params, params, "the path") : params;
}

function checkStream(header: (name: string) => string | undefined): void {
  const type = mediaType(header("content-type"));
  if (!isNdjson(type)) throw unsupportedType(type, "application/x-ndjson");
  checkEncoding(header);
}

/** Answers what no route takes. */
function refuser(options: AppOptions, refusal: (c: AppContext) => HttpError): (c: AppContext) => Response {
  return (c) => {
    const id = requestIdOf(c);
    try {
      options.hostGuard?.((name) => c.req.header(name));
      throw refusal(c);
    } catch (error) {
      return failureAnswer(error, id, options.log);
    }
  };
}

function failureAnswer(error: unknown, id: string, log: Log): Response {
  return answerOf(withRequestId(problemReply(error, id, log.child({ id })), id));
}

function methodRefusal(methods: readonly string[]): (c: AppContext) => HttpError {
  const allow = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  return (c) => new HttpError(405, `${c.req.method} is not for this path; it takes ${allow}`, { headers: { allow } });
}

function problemReply(error: unknown, id: string, log: Log): Reply {
  const { status, headers, problem } = problemOf(error, id);
  if (status >= 500) log.error("a request failed", { status, error });
  return { status, headers: { ...headers, "content-type": PROBLEM_TYPE }, body: problem };
}

function withRequestId(reply: Reply, id: string): Reply {
  return { ...reply, headers: { ...reply.headers, "x-request-id": id } };
}

function requestIdOf(c: AppContext): string {
  const given = c.req.header("x-request-id");
  return given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
}

function answerOf({ status = 200, headers, body, text }: Reply): Response {
  const content = text ?? (body === undefined ? null : JSON.stringify(body));
  const type = content === null ? undefined : { "content-type": JSON_TYPE };
  return new Response(content, { status, headers: { ...type, ...FIXED_HEADERS, ...headers } });
}

function describingRoute(describe: () => unknown): Route {
  let text: string | undefined;
  return defineRoute({
    method: "GET",
    path: "/openapi.json",
    operationId: "getOpenApi",
    summary: "This API's description in OpenAPI 3.1",
    tags: ["Host"],
    access: "public",
    responses: { 200: { description: "The description.", schema: z.record(z.string(), z.unknown()) } },
    handler: () => {
      text ??= JSON.stringify(describe());
      return { text };
    },
  });
}
