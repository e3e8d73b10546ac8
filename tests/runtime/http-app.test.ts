import { describe, expect, it } from "vitest";
import { z } from "zod";
import { BrokerError, type ErrorCode, InvalidInput, Overloaded, PersistorError } from "../../shared/core/errors.ts";
import type { Log, LogFields } from "../../shared/core/ports/log.ts";
import { createAuthorize } from "../../shared/runtime/auth/authorize.ts";
import { newApiKey } from "../../shared/runtime/auth/keys.ts";
import { authSchema } from "../../shared/runtime/auth/settings.ts";
import { HttpError } from "../../shared/runtime/http/problem.ts";
import { defineRoute, type Route } from "../../shared/runtime/http/route.ts";
import { asking } from "../functions/support-app.ts";

const responses = { 200: { description: "Done." } };

function throwing(path: string, error: unknown): Route {
  const handler = () => Promise.reject(error);
  return defineRoute({ method: "GET", path, operationId: `throw${path}`, summary: "", tags: [], responses, handler });
}

const echo = defineRoute({
  method: "POST",
  path: "/echo/{name}",
  operationId: "echo",
  summary: "",
  tags: [],
  query: z.strictObject({ q: z.string().optional() }),
  body: z.strictObject({ a: z.string(), list: z.array(z.strictObject({ n: z.int() })).optional() }),
  bodyInHeader: true,
  responses,
  handler: ({ params, query, body, requestId }) => ({ body: { params, query, body, requestId } }),
});

const optional = defineRoute({
  method: "POST",
  path: "/optional",
  operationId: "optional",
  summary: "",
  tags: [],
  body: z.strictObject({ a: z.string() }).optional(),
  bodyOptional: true,
  responses,
  handler: ({ body }) => ({ status: 202, headers: { location: "/x" }, body: { body: body ?? null } }),
});

const ask = asking([{ prefix: "/p", routes: [echo, optional] }]);
const send = (raw: string | Uint8Array, headers: Record<string, string> = {}) => ask("POST", "/p/echo/x", { raw, headers });

describe("a route", () => {
  it("is given its validated path, query and body", async () => {
    const { status, body } = await ask("POST", "/p/echo/a%2Fb%20%25?q=%C3%BC+x", { body: { a: "b", list: [{ n: 1 }] } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ params: { name: "a/b %" }, query: { q: "ü x" }, body: { a: "b", list: [{ n: 1 }] } });
  });

  it("answers with its own status and headers, and without a body where that may be missing", async () => {
    const answer = await ask("POST", "/p/optional");
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toBe("/x");
    expect(answer.body).toEqual({ body: null });
  });

  it("is answered at another method with 405 and Allow, at another path with 404", async () => {
    const other = await ask("GET", "/p/echo/x");
    expect([other.status, other.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await ask("GET", "/p/nothing")).status).toBe(404);
    expect((await ask("GET", "/")).status).toBe(404);
    expect((await ask("HEAD", "/openapi.json")).status).toBe(200);
    expect((await ask("DELETE", "/openapi.json")).headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("a request id", () => {
  it("is taken from the request, answered, and told to the route", async () => {
    const { headers, body } = await ask("POST", "/p/echo/x", { body: { a: "b" }, headers: { "x-request-id": "abc-1" } });
    expect(headers.get("x-request-id")).toBe("abc-1");
    expect(body.requestId).toBe("abc-1");
  });

  it("is made where there is none, and where the one given is too long or not printable", async () => {
    for (const given of ["", "x".repeat(129), "a\u00fcb", "a b"]) {
      const { headers, body } = await ask("GET", "/p/nothing", { headers: { "x-request-id": given } });
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(body.instance).toBe(headers.get("x-request-id"));
    }
  });
});

describe("a body", () => {
  it.each([
    ["is no JSON", "{", 400, "at position 1"],
    ["is no UTF-8", Buffer.from([0x22, 0xff, 0x22]), 400, "UTF-8"],
    ["is empty", "", 400, "there is none"],
    ["has a wrong type", '{"a": 1}', 400, "a "],
    ["has an unknown field", '{"a": "", "b": 1}', 400, "b is unknown here"],
    ["has a `__proto__` field", '{"a": "", "__proto__": {"b": 1}}', 400, "__proto__ is unknown here"],
    ["is wrong further down", '{"a": "", "list": [{"n": 1}, {"n": 1.5}]}', 400, "list[1].n"],
    ["is nested 1,000 levels", "[".repeat(1_000) + "]".repeat(1_000), 400, ""],
    ["is nested 100,000 levels", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`, 400, ""],
    ["is too large", `{"a": "${"x".repeat(1_000_000)}"}`, 413, "1000000"],
  ])("that %s is refused", async (_, raw, status, text) => {
    const answer = await send(raw);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ type: "about:blank", status });
    expect(answer.body.detail).toContain(text);
  });

  it("is counted as it comes in, whatever its Content-Length says", async () => {
    expect((await send(`{"a": "${"x".repeat(1_000_000)}"}`, { "content-length": "10" })).status).toBe(413);
    expect((await send('{"a": ""}', { "content-length": "1000001" })).status).toBe(413);
    expect((await send(`{"a": "${"x".repeat(999_991)}"}`)).status).toBe(200);
  });

  it.each([
    ["text/plain", {}],
    ["application/x-www-form-urlencoded", {}],
    ["application/x-ndjson", {}],
    ["application/json; charset=latin1", {}],
    ["application/json", { "content-encoding": "gzip" }],
  ])("of type %s %j is answered with 415", async (type, headers) => {
    expect((await send('{"a": ""}', { "content-type": type, ...headers })).status).toBe(415);
  });

  it("may stand in the header instead, in ASCII", async () => {
    const { body } = await ask("POST", "/p/echo/x", { headers: { "x-persistor-request": '{"a": "\\u00fc"}' } });
    expect(body.body).toEqual({ a: "ü" });
    expect((await ask("POST", "/p/echo/x", { headers: { "x-persistor-request": '{"a": "\u00fc"}' } })).status).toBe(400);
    expect((await ask("POST", "/p/echo/x", { headers: { "x-persistor-request": "{" } })).status).toBe(400);
    expect((await send('{"a": ""}', { "x-persistor-request": '{"a": ""}' })).status).toBe(400);
  });
});

describe("a query string", () => {
  it.each(["q=1&q=2", "r=1", "q=%ff", "q=%"])("?%s is answered with 400", async (query) => {
    expect((await ask("POST", `/p/echo/x?${query}`, { body: { a: "" } })).status).toBe(400);
  });
});

describe("an error", () => {
  const lines: { event: string; fields: LogFields }[] = [];
  const note = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  const log: Log = { info: () => undefined, warn: note, error: note, child: () => log };
  const answered = (error: unknown) => asking([{ prefix: "", routes: [throwing("/fail", error)] }], { log })("GET", "/fail");

  it.each<[ErrorCode, number]>([
    ["undecodable", 400],
    ["unsupported", 400],
    ["topic_missing", 404],
    ["refused", 409],
    ["too_large", 413],
    ["overloaded", 429],
    ["aborted", 503],
    ["store_unavailable", 503],
    ["broker_unavailable", 503],
    ["index_unavailable", 503],
    ["job_store_unavailable", 503],
    ["object_corrupt", 500],
    ["settings_invalid", 500],
  ])("of code %s is answered with %i", async (code, status) => {
    const answer = await answered(new PersistorError(code, "doing this: private"));
    expect(answer.status).toBe(status);
    expect(answer.headers.get("retry-after")).toBe(status === 429 || status === 503 ? "1" : null);
    if (status >= 500) expect(JSON.stringify(answer.body)).not.toContain("private");
  });

  it("that nobody foresaw is answered with 500, logged with its cause, and told to nobody else", async () => {
    lines.length = 0;
    const answer = await answered(new TypeError("secret detail", { cause: new BrokerError("refused", "deeper") }));
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain("secret");
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields.error).toBeInstanceOf(TypeError);
    expect((await answered("no error at all")).status).toBe(500);
    expect((await answered(undefined)).status).toBe(500);
  });

  it("may carry members of its own", async () => {
    const { body } = await answered(new HttpError(422, "no", { members: { summary: { n: 1 }, errors: { pipeline_errors: [] } } }));
    expect(body).toMatchObject({ status: 422, summary: { n: 1 }, errors: { pipeline_errors: [] } });
    expect((await answered(new InvalidInput("no", [{ path: "a.b", message: "is wrong" }]))).body.errors).toEqual([
      { path: "a.b", message: "is wrong" },
    ]);
    expect((await answered(new Overloaded("later"))).body.detail).toBe("later");
  });
});

describe("a host that asks for keys", () => {
  const { key, sha256 } = newApiKey("reader");
  const authorize = createAuthorize(authSchema.parse({ mode: "required", apiKeys: [{ id: "reader", sha256 }] }));
  const routeOf = (path: string, access: "public" | "caller" | "admin") =>
    defineRoute({
      method: "GET",
      path,
      operationId: access,
      summary: "",
      tags: [],
      access,
      responses,
      handler: ({ caller }) => ({ body: { id: caller.id } }),
    });
  const guarded = asking(
    [{ prefix: "", routes: [routeOf("/public", "public"), routeOf("/caller", "caller"), routeOf("/admin", "admin")] }],
    { authorize },
  );

  it("answers public routes without one, others with 401, and routes for admins with 403 to who is none", async () => {
    const headers = { authorization: `Bearer ${key}` };
    const statuses = async (given: Record<string, string>) =>
      Promise.all(
        ["/public", "/openapi.json", "/caller", "/admin"].map(async (path) => (await guarded("GET", path, { headers: given })).status),
      );
    expect(await statuses({})).toEqual([200, 200, 401, 401]);
    expect(await statuses(headers)).toEqual([200, 200, 200, 403]);
    expect((await guarded("GET", "/caller")).headers.get("www-authenticate")).toContain("Bearer");
    expect((await guarded("GET", "/caller", { headers })).body).toEqual({ id: "reader" });
  });
});

describe("a request that takes too long", () => {
  it("is told so by its signal", async () => {
    const slow = defineRoute({
      method: "GET",
      path: "/slow",
      operationId: "slow",
      summary: "",
      tags: [],
      limitMs: 5,
      responses,
      handler: ({ signal }) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new PersistorError("aborted", "working: given up", { cause: signal.reason }))),
        ),
    });
    const answer = await asking([{ prefix: "", routes: [slow] }])("GET", "/slow");
    expect(answer.status).toBe(503);
  });
});
