import { randomUUID } from "node:crypto";
import type { HttpFunction, Request, Response } from "@google-cloud/functions-framework";
import { errorText } from "../../core/errors.ts";
import { createTriggerAuth } from "../auth/trigger-auth.ts";
import type { FunctionProcess } from "../function-process.ts";
import { PROBLEM_TYPE, problemOf } from "../http/problem.ts";
import { invocation } from "../invocation.ts";

/** What a function answers. */
export interface TriggerReply {
  status: number;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  body?: unknown;
}

/** A request to a function that is triggered over HTTP. */
export interface TriggerRequest {
  method: string;
  /** The path's segments behind the function's own name. */
  segments: readonly string[];
  header(name: string): string | undefined;
  query: Readonly<Record<string, unknown>>;
  /** As the framework parsed it: an object where it came as JSON, else text or bytes. */
  body: unknown;
  /** The body's bytes; undefined where there was none. */
  rawBody: Buffer | undefined;
}

export interface TriggerOptions {
  /** The function's name, which may stand at the head of the path. */
  name: string;
  limitMs: number;
}

/** A function for brokers and schedulers: authorization, deadline, one log line and one problem document for what goes wrong. */
export function triggerHandler(
  process: FunctionProcess,
  { name, limitMs }: TriggerOptions,
  handle: (request: TriggerRequest) => Promise<TriggerReply>,
): HttpFunction {
  const authorize = createTriggerAuth(process.settings.triggerAuth);
  const run = invocation(
    name,
    async (request: TriggerRequest): Promise<TriggerReply> => {
      await authorize(request.header);
      return handle(request);
    },
    {
      limitMs,
      log: process.log,
      metrics: process.meter,
      onError: (error, { id, log }) => {
        const { status, headers, problem } = problemOf(error, id);
        if (status >= 500) log.error("a call of a function failed", { status, error });
        else log.warn("a call of a function was refused", { status, reason: errorText(error) });
        return { status, headers: { ...headers, "content-type": PROBLEM_TYPE }, body: problem };
      },
    },
  );
  return async (request: Request, response: Response) => {
    const segments = segmentsOf(request.path, name);
    if (request.method === "GET" && segments[0] === "healthz") return answer(response, { status: 200, body: { status: "ok" } });
    const header = (wanted: string) => headerOf(request, wanted);
    const asked: TriggerRequest = {
      method: request.method,
      segments,
      header,
      query: request.query,
      body: request.body,
      rawBody: request.rawBody,
    };
    answer(response, await run(asked, { id: header("x-request-id") ?? randomUUID() }));
  };
}

function segmentsOf(path: string, name: string): string[] {
  const segments = path.split("/").filter((segment) => segment !== "");
  return segments[0] === name ? segments.slice(1) : segments;
}

function headerOf(request: Request, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function answer(response: Response, { status, headers, body }: TriggerReply): void {
  response.writeHead(status, body === undefined ? headers : { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
