import type { IncomingMessage, ServerResponse } from "node:http";
import { jsonOf, type Typed, textOf } from "../dotnet.ts";
import type { Executor, FunctionResult } from "../executor.ts";
import type { FunctionMetadata } from "../rpc.ts";
import type { Worker } from "../worker-process.ts";
import { type AuthLevel, type HostKeys, isAllowed, keyOf } from "./keys.ts";
import { BodyTooLarge, headersOf, queryOf, toRpcHttp } from "./request.ts";
import { writeResponse } from "./response.ts";
import { createRouter } from "./routes.ts";
import { forward } from "./stream-proxy.ts";

export interface HttpFunction {
  fn: FunctionMetadata;
  bindingName: string;
  /** With the prefix, without a slash before it. */
  route: string;
  methods: readonly string[];
  authLevel: AuthLevel;
}

export interface HttpTriggerOptions {
  functions: readonly HttpFunction[];
  keys: HostKeys;
  executor: Executor;
  /** The instance that the next request goes to. */
  nextWorker(): Worker;
  /** After this time the platform's load balancer answers itself: 504. */
  limitMs: number;
}

export type HttpHandler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

/** Answers requests to the app's HTTP functions: 404 where there is none, 401 without the right key, 500 where the function throws. */
export function createHttpTrigger({ functions, keys, executor, nextWorker, limitMs }: HttpTriggerOptions): HttpHandler {
  const find = createRouter(
    functions.map((target) => ({
      template: target.route,
      methods: target.methods.length > 0 ? new Set(target.methods.map((method) => method.toUpperCase())) : undefined,
      target,
    })),
  );
  return async (request, response, url) => {
    const match = find(request.method ?? "GET", url.pathname);
    if (!match) return void response.writeHead(404).end();
    const { target, params } = match;
    if (!isAllowed(target.authLevel, target.fn.name, keyOf(request, url.searchParams), keys)) return void response.writeHead(401).end();
    const timer = setTimeout(() => {
      if (!response.headersSent) response.writeHead(504).end();
    }, limitMs);
    response.on("close", () => clearTimeout(timer));
    await answer({ request, response, url, params, target, executor, worker: nextWorker() });
  };
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  params: Readonly<Record<string, string>>;
  target: HttpFunction;
  executor: Executor;
  worker: Worker;
}

async function answer(exchange: Exchange): Promise<void> {
  const { request, response, url, params, target, executor, worker } = exchange;
  const { capabilities } = await worker.started();
  if (capabilities["HttpUri"]) return answerByStream(exchange, capabilities["HttpUri"]);
  try {
    const http = await toRpcHttp(request, url, params);
    const { fn, bindingName } = target;
    const result = await executor.execute({ fn, bindingName, worker, input: () => ({ data: { http } }) });
    if (response.headersSent) return;
    if (result.response) writeResponse(response, result.response);
    else response.writeHead(500).end();
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    response.writeHead(413).end();
  }
}

/** The invocation and the forwarded request go side by side; the worker joins them by the invocation's id. */
async function answerByStream({ request, response, url, params, target, executor, worker }: Exchange, httpUri: string): Promise<void> {
  const { fn, bindingName } = target;
  const metadata: Record<string, Typed> = {
    ...Object.fromEntries(Object.entries(params).map(([name, value]) => [name, textOf(value)])),
    Query: jsonOf(queryOf(url.searchParams)),
    Headers: jsonOf(headersOf(request)),
  };
  let isForwarded = false;
  const result: FunctionResult = await executor.execute({
    fn,
    bindingName,
    worker,
    input: () => ({ data: { http: {} }, metadata }),
    onInvocation(invocationId) {
      isForwarded = true;
      const forwarded = forward(request, response, httpUri, url, invocationId);
      response.on("close", () => forwarded.abort());
      forwarded.done.catch(() => {
        if (!response.headersSent) response.writeHead(502).end();
        else response.destroy();
      });
    },
  });
  if (!isForwarded && !result.succeeded) response.writeHead(500).end();
}
