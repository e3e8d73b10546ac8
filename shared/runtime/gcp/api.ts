import { randomUUID } from "node:crypto";
import type { HttpFunction } from "@google-cloud/functions-framework";
import { getRequestListener } from "@hono/node-server";
import { createAuthorize } from "../auth/authorize.ts";
import type { FunctionProcess } from "../function-process.ts";
import { createApp } from "../http/app.ts";
import { API_INFO } from "../http/info.ts";
import { PROBLEM_TYPE, problemOf } from "../http/problem.ts";
import type { Mount } from "../http/route.ts";
import { openedOnce } from "../opened-once.ts";

/** Longer than a synchronous resubmission takes. */
const LIMIT_MS = 60_000;

/** Serves routes as a function; `mountsOf` opens what they need at the first request. */
export function apiHandler(process: FunctionProcess, mountsOf: () => Promise<readonly Mount[]>): HttpFunction {
  const { settings, log, meter } = process;
  const open = openedOnce(async () =>
    createApp({
      mounts: await mountsOf(),
      authorize: createAuthorize(settings.auth),
      info: API_INFO,
      log,
      metrics: meter,
      limitMs: LIMIT_MS,
    }),
  );
  return getRequestListener(
    async (request) => {
      try {
        // Before anything is opened: the process lives.
        if (request.method === "GET" && new URL(request.url).pathname === "/healthz") return Response.json({ status: "ok" });
        return await (await open()).fetch(request);
      } catch (error) {
        return failure(error, process);
      }
    },
    { overrideGlobalObjects: false },
  );
}

function failure(error: unknown, { log }: FunctionProcess): Response {
  const id = randomUUID();
  const { headers, problem } = problemOf(error, id);
  log.error("opening what a function needs failed", { id, error });
  return Response.json(
    { ...problem, status: 503, title: "Unavailable" },
    { status: 503, headers: { ...headers, "content-type": PROBLEM_TYPE, "x-request-id": id } },
  );
}
