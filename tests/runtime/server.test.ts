import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { PersistorError } from "../../shared/core/errors.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { ANYONE } from "../../shared/runtime/auth/authorize.ts";
import { createApp } from "../../shared/runtime/http/app.ts";
import { createHostGuard } from "../../shared/runtime/http/host-guard.ts";
import { defineRoute, type Route } from "../../shared/runtime/http/route.ts";
import { type RunningServer, startServer } from "../../shared/runtime/http/server.ts";
import { createMetrics } from "../../shared/runtime/telemetry/metrics.ts";

const responses = { 200: { description: "Done." } };
const shared = { summary: "", tags: [], responses };
const hello = defineRoute({ ...shared, method: "GET", path: "/hello", operationId: "hello", handler: () => ({ body: { hello: true } }) });
const echo = defineRoute({
  ...shared,
  method: "POST",
  path: "/echo",
  operationId: "echo",
  body: z.unknown(),
  handler: ({ body }) => ({ body }),
});
const count = defineRoute({
  ...shared,
  method: "POST",
  path: "/count",
  operationId: "count",
  stream: { description: "", schema: z.unknown() },
  async handler({ chunks }) {
    let bytes = 0;
    for await (const chunk of chunks) bytes += chunk.length;
    return { body: { bytes } };
  },
});

let running: RunningServer | undefined;

async function serve(routes: Route[] = [hello, echo, count], allowedHosts: string[] = []): Promise<number> {
  const hostGuard = createHostGuard({ port: () => running?.port ?? 0, allowedHosts });
  const app = createApp({
    mounts: [{ prefix: "", routes }],
    authorize: () => ANYONE,
    hostGuard,
    log: NO_LOG,
    metrics: createMetrics(),
    info: { version: "0" },
  });
  running = await startServer(app, { host: "127.0.0.1", port: 0 });
  return running.port;
}

afterEach(async () => {
  await running?.close(0);
  running = undefined;
});

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/** By node:http, since fetch lets no caller choose these headers. */
function call(port: number, { method = "GET", path = "/hello", headers = {}, body }: Sent = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** What the server says to these very bytes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(text));
    socket.setEncoding("utf8").on("data", (part) => (answer += part));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

const json = (port: number) => ({ host: `localhost:${port}`, "content-type": "application/json" });

describe("the local host's guard", () => {
  it("lets callers in by every loopback name with the right port", async () => {
    const port = await serve();
    for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]) {
      expect((await call(port, { headers: { host: `${name}:${port}` } })).status).toBe(200);
    }
  });

  it.each([
    ["another name", { host: "evil.example:7071" }],
    ["another name with the right port", { host: "evil.example:PORT" }],
    ["a name that only begins like ours", { host: "localhost.evil.example:PORT" }],
    ["another port", { host: "localhost:1" }],
    ["no port", { host: "localhost" }],
    ["a foreign origin", { host: "localhost:PORT", origin: "http://evil.example" }],
    ["another port's origin", { host: "localhost:PORT", origin: "http://localhost:1" }],
    ["an opaque origin", { host: "localhost:PORT", origin: "null" }],
    ["a page of another site", { host: "localhost:PORT", "sec-fetch-site": "cross-site" }],
  ])("refuses %s with 403, on paths that do not exist too", async (_, given) => {
    const port = await serve();
    const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value.replace("PORT", String(port))]));
    expect((await call(port, { headers })).status).toBe(403);
    expect((await call(port, { headers, path: "/nothing" })).status).toBe(403);
    expect((await call(port, { headers, path: "/openapi.json" })).status).toBe(403);
  });

  it("lets its own origin and allowed hosts in", async () => {
    const port = await serve(undefined, ["persistor.internal", "box:8080"]);
    const own = `localhost:${port}`;
    expect((await call(port, { headers: { host: own, origin: `http://${own}`, "sec-fetch-site": "same-origin" } })).status).toBe(200);
    expect((await call(port, { headers: { host: "persistor.internal" } })).status).toBe(200);
    expect((await call(port, { headers: { host: "persistor.internal:99" } })).status).toBe(200);
    expect((await call(port, { headers: { host: "box:8080" } })).status).toBe(200);
    expect((await call(port, { headers: { host: "box:8081" } })).status).toBe(403);
  });

  it("refuses bodies that a form could send", async () => {
    const port = await serve();
    const headers = { host: `localhost:${port}`, "content-type": "text/plain" };
    expect((await call(port, { method: "POST", path: "/echo", headers, body: "{}" })).status).toBe(415);
    expect((await call(port, { method: "POST", path: "/echo", headers: { host: headers.host }, body: "{}" })).status).toBe(415);
    expect((await call(port, { method: "POST", path: "/echo", headers: json(port), body: '{"a":1}' })).text).toBe('{"a":1}');
  });

  it.each(["Host:\r\n", "", "Host: localhost\r\nHost: evil.example\r\n"])("refuses the Host lines %j", async (lines) => {
    const port = await serve();
    expect(await raw(port, `GET /hello HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 40[03] /);
    expect(await raw(port, `GET /hello HTTP/1.0\r\n${lines}\r\n`)).toMatch(/^HTTP\/1\.1 40[03] /);
  });

  it("is not got around by a full address as the request's target", async () => {
    const port = await serve();
    expect(await raw(port, `GET http://localhost:${port}/hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 403 /,
    );
  });
});

describe("the server", () => {
  it("stops reading a body that is too large, however it is sent, and goes on serving", async () => {
    const port = await serve();
    const body = Buffer.alloc(3_000_000, "1");
    expect((await call(port, { method: "POST", path: "/echo", headers: json(port), body })).status).toBe(413);
    const chunked = { ...json(port), "transfer-encoding": "chunked" };
    expect((await call(port, { method: "POST", path: "/echo", headers: chunked, body })).status).toBe(413);
    expect((await call(port, { headers: { host: `localhost:${port}` } })).status).toBe(200);
  });

  it("gives a stream of any size to its route", async () => {
    const port = await serve();
    const headers = { host: `localhost:${port}`, "content-type": "application/x-ndjson" };
    const { text } = await call(port, { method: "POST", path: "/count", headers, body: Buffer.alloc(5_000_000, "1") });
    expect(JSON.parse(text)).toEqual({ bytes: 5_000_000 });
  });

  it("lives on when a caller goes away in the middle of a body", async () => {
    const port = await serve();
    await raw(port, `POST /echo HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a"`);
    expect((await call(port, { headers: { host: `localhost:${port}` } })).status).toBe(200);
  });

  it("answers what is no HTTP with 400 and lives on", async () => {
    const port = await serve();
    expect(await raw(port, "\u0016\u0003\u0001nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect((await call(port, { headers: { host: `localhost:${port}` } })).status).toBe(200);
  });

  it("says which address it could not listen on", async () => {
    const port = await serve();
    const second = startServer({ fetch: () => new Response() }, { host: "127.0.0.1", port });
    await expect(second).rejects.toThrow(PersistorError);
    await expect(second).rejects.toThrow(`127.0.0.1:${port}`);
  });
});

describe("closing the server", () => {
  const held = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const slow = (wait: Promise<void>, begun: () => void) =>
    defineRoute({
      ...shared,
      method: "GET",
      path: "/slow",
      operationId: "slow",
      handler: async () => {
        begun();
        await wait;
        return { body: { done: true } };
      },
    });

  it("lets a running request end and takes no new one", async () => {
    const port = await serve([slow(held.promise, started.resolve)]);
    const headers = { host: `localhost:${port}`, connection: "keep-alive" };
    const answer = call(port, { path: "/slow", headers });
    await started.promise;
    const closed = running?.close(10_000);
    await expect(call(port, { path: "/slow", headers })).rejects.toThrow();
    held.resolve();
    expect((await answer).text).toBe('{"done":true}');
    expect(await closed).toBe(true);
  });

  it("cuts off what does not end in time", async () => {
    const begun = Promise.withResolvers<void>();
    const port = await serve([slow(new Promise(() => undefined), begun.resolve)]);
    const answer = call(port, { path: "/slow", headers: { host: `localhost:${port}` } });
    answer.catch(() => undefined);
    await begun.promise;
    expect(await running?.close(20)).toBe(false);
    await expect(answer).rejects.toThrow();
  });
});
