import { app, type HttpMethod, type HttpRequest, type HttpResponseInit } from "@azure/functions";
import type { FunctionProcess } from "../function-process.ts";
import { openedOnce } from "../opened-once.ts";

/** First segment of a path on Azure, and the path of the API that it stands for. The platform keeps `admin` to itself. */
const ROOTS = {
  indexer: "/indexer",
  resubmitter: "/resubmitter",
  maintenance: "/admin/maintenance",
  healthz: "/healthz",
  readyz: "/readyz",
  "openapi.json": "/openapi.json",
} as const;
export type Root = keyof typeof ROOTS;

const METHODS: HttpMethod[] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
/** Parameter and header by which a function key is shown. */
const KEY_PARAMETER = "code";
const KEY_HEADER = "x-functions-key";

/** Registers a function for each of these parts of the HTTP APIs; they share one application, which opens at its first request. */
export function registerHttp(process: FunctionProcess, roots: readonly Root[]): void {
  const open = openedOnce(async () => {
    const { createAzureApi } = await import("./api.ts");
    return createAzureApi(process);
  });
  for (const root of roots) {
    app.http(root.replace(/\W/g, "-"), {
      methods: METHODS,
      authLevel: process.settings.functionAuthLevel,
      route: root === "healthz" || root === "readyz" || root === "openapi.json" ? root : `${root}/{*path}`,
      async handler(request): Promise<HttpResponseInit> {
        // Before anything is opened: the process lives.
        if (root === "healthz") return { jsonBody: { status: "ok" } };
        const { asked, base } = await requestOf(request, root);
        const api = await open();
        return responseOf(await api(asked), root, base);
      },
    });
  }
}

/** The request as the API knows it, and what stands before its path here. A function key counts as an API key where no other is shown. */
async function requestOf(request: HttpRequest, root: Root): Promise<{ asked: Request; base: string }> {
  const url = new URL(request.url);
  const at = url.pathname.indexOf(`/${root}`);
  const base = url.pathname.slice(0, at);
  url.pathname = ROOTS[root] + url.pathname.slice(at + 1 + root.length);
  const headers = new Headers([...request.headers]);
  const key = headers.get(KEY_HEADER) ?? url.searchParams.get(KEY_PARAMETER);
  url.searchParams.delete(KEY_PARAMETER);
  if (key !== null && !headers.has("authorization") && !headers.has("x-api-key")) headers.set("x-api-key", key);
  const isBodied = request.method !== "GET" && request.method !== "HEAD";
  const body = isBodied ? await request.arrayBuffer() : undefined;
  return { asked: new Request(url, { method: request.method, headers, ...(body && body.byteLength > 0 && { body }) }), base };
}

/** The answer, with the paths that lead here. */
async function responseOf(response: Response, root: Root, base: string): Promise<HttpResponseInit> {
  const headers = Object.fromEntries(response.headers);
  const { location } = headers;
  if (location !== undefined) headers["location"] = base + pathHere(location);
  if (root === "openapi.json" && response.ok) return { headers, jsonBody: describedHere((await response.json()) as Description, base) };
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers, ...(body.length > 0 && { body }) };
}

interface Description {
  paths: Readonly<Record<string, unknown>>;
}

function describedHere({ paths, ...description }: Description, base: string) {
  const here = Object.entries(paths).map(([path, item]) => [pathHere(path), item]);
  return { ...description, servers: [{ url: base }], paths: Object.fromEntries(here) };
}

/** A path of the API as it is on Azure, behind its base. */
function pathHere(path: string): string {
  const [root, inside = ""] = Object.entries(ROOTS).find(([, start]) => path.startsWith(start)) ?? [];
  return root === undefined ? path : `/${root}${path.slice(inside.length)}`;
}
