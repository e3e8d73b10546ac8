import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { describe, expect, test } from "vitest";
import { startApp, until } from "./support-app.ts";

const ECHO = `app.http("echo", { methods: ["GET", "POST", "PUT"], route: "echo/{*path}", handler: async (request) => ({ jsonBody: {
  method: request.method, path: request.params.path, query: Object.fromEntries(request.query), type: request.headers.get("content-type"),
  multi: request.headers.get("x-multi"), body: Buffer.from(await request.arrayBuffer()).toString("hex") } }) });`;

describe("HTTP functions", () => {
  test("get a request whole: method, catch-all route, query, headers, and every byte of a body whatever its content type says", async () => {
    const { url } = await startApp({ code: ECHO });
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const type of ["application/octet-stream", "application/json", "text/plain", "who/knows"]) {
      const response = await fetch(`${url}/api/echo/a/b%20c?x=1&y=%C3%A4`, {
        method: "POST",
        body: bytes,
        headers: { "content-type": type },
      });
      const hex = Buffer.from(bytes).toString("hex");
      expect(await response.json()).toEqual({ method: "POST", path: "a/b c", query: { x: "1", y: "ä" }, type, multi: null, body: hex });
    }
  });

  test("lose a chunked body, and get an empty one as empty", async () => {
    const { url } = await startApp({ code: ECHO });
    const chunked = ReadableStream.from([Buffer.from("lost")]);
    const init: RequestInit & { duplex: "half" } = { method: "POST", body: chunked, duplex: "half" };
    expect(await (await fetch(`${url}/api/echo/x`, init)).json()).toMatchObject({ body: "" });
    expect(await (await fetch(`${url}/api/echo/x`, { method: "POST", body: "" })).json()).toMatchObject({ body: "" });
  });

  test("get the values of a repeated query name or header as one, joined by a comma", async () => {
    const { url } = await startApp({ code: ECHO });
    const request = httpRequest(`${url}/api/echo/x?a=1&A=2`, { headers: { "x-multi": ["one", "two"] } }).end();
    const [response] = await once(request, "response");
    expect(JSON.parse(Buffer.concat(await Array.fromAsync(response)).toString())).toMatchObject({ query: { a: "1,2" }, multi: "one,two" });
  });

  test("answer with a status, headers, cookies and bytes of any kind, or with nothing", async () => {
    const { url } = await startApp({
      code: `
        app.http("bytes", { handler: async () => ({ status: 201, body: Buffer.from([0, 255, 10, 13]), headers: { "content-type": "image/x", "x-own": "1" },
          cookies: [{ name: "a", value: "1" }, { name: "b", value: "2 3", httpOnly: true }] }) });
        app.http("empty", { handler: async () => ({ status: 204 }) });
        app.http("headers", { handler: async () => ({ headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] }) });`,
    });
    const bytes = await fetch(`${url}/api/bytes`);
    expect(bytes.status).toBe(201);
    expect(Object.fromEntries(bytes.headers)).toMatchObject({ "content-type": "image/x", "x-own": "1" });
    expect(bytes.headers.getSetCookie()).toEqual(["a=1; path=/", "b=2%203; path=/; httponly"]);
    expect(Buffer.from(await bytes.arrayBuffer()).toString("hex")).toBe("00ff0a0d");
    const empty = await fetch(`${url}/api/empty`);
    expect([empty.status, await empty.text()]).toEqual([204, ""]);
    // A map of headers carries one cookie: the last one.
    expect((await fetch(`${url}/api/headers`)).headers.getSetCookie()).toEqual(["b=2"]);
  });

  test("answer 500 without a body where they throw, and the error is in the log", async () => {
    const host = await startApp({ code: `app.http("bad", { handler: async () => { throw new Error("it broke"); } });` });
    const response = await fetch(`${host.url}/api/bad`);
    expect([response.status, await response.text()]).toEqual([500, ""]);
    expect(host.output()).toMatch(
      /\[Error\] Function.bad: Executed 'Functions.bad' \(Failed, .*\nResult: Failure\nException: it broke\nStack: Error: it broke\n +at /,
    );
  });

  test("take the most exact route, by method, and 404 is the answer to all else", async () => {
    const name = (route: string, methods = '["GET"]') =>
      `app.http("${route.replace(/\W+/g, "_")}${methods.length}", { route: "${route}", methods: ${methods}, handler: async (request) => ({ body: "${route} " + JSON.stringify(request.params) }) });`;
    const { url } = await startApp({
      code: [
        name("{*rest}"),
        name("jobs/{id}"),
        name("jobs/{id:int}"),
        name("jobs/all"),
        name("jobs/{id}", '["DELETE"]'),
        name("maybe/{x?}"),
      ].join("\n"),
      hostJson: { extensions: { http: { routePrefix: "" } } },
    });
    const get = async (path: string, method = "GET") => (await fetch(`${url}${path}`, { method })).text();
    expect(await get("/jobs/ALL")).toBe("jobs/all {}");
    expect(await get("/jobs/12")).toBe('jobs/{id:int} {"id":"12"}');
    expect(await get("/jobs/x12")).toBe('jobs/{id} {"id":"x12"}');
    expect(await get("/jobs/1/2")).toBe('{*rest} {"rest":"jobs/1/2"}');
    expect(await get("/maybe")).toBe("maybe/{x?} {}");
    expect(await get("/jobs/1", "DELETE")).toBe('jobs/{id} {"id":"1"}');
    expect((await fetch(`${url}/jobs/1`, { method: "PATCH" })).status).toBe(404);
  });

  test("ask for a key of their level", async () => {
    const open = (level: string) => `app.http("${level}", { authLevel: "${level}", handler: async () => ({ body: "in" }) });`;
    const { url, keys } = await startApp(
      { code: ["anonymous", "function", "admin"].map(open).join("\n") },
      { keys: { functions: { function: "own-key" } } },
    );
    const status = async (name: string, key?: string) =>
      (await fetch(`${url}/api/${name}`, { headers: key === undefined ? {} : { "x-functions-key": key } })).status;
    expect(await status("anonymous")).toBe(200);
    expect([await status("function"), await status("function", "wrong"), await status("admin", keys.host)]).toEqual([401, 401, 401]);
    expect([await status("function", keys.host), await status("function", "own-key"), await status("admin", keys.master)]).toEqual([
      200, 200, 200,
    ]);
    expect((await fetch(`${url}/api/function?code=own-key`)).status).toBe(200);
  });

  test("run at the same time, and the platform answers 504 where one takes too long", async () => {
    const host = await startApp(
      {
        code: `let n = 0; app.http("meet", { handler: async () => { n++; while (n < 3) await new Promise((r) => setTimeout(r, 5)); return { body: "met" }; } });
               app.http("slow", { handler: async () => { await new Promise((r) => setTimeout(r, 60_000)); } });`,
      },
      { httpLimitMs: 3_000 },
    );
    const met = await Promise.all([1, 2, 3].map(async () => (await fetch(`${host.url}/api/meet`)).text()));
    expect(met).toEqual(["met", "met", "met"]);
    expect((await fetch(`${host.url}/api/slow`)).status).toBe(504);
  });

  test("with enableHttpStream get chunked bodies and stream their answers, but have none where they throw", async () => {
    const host = await startApp(
      {
        code: `app.setup({ enableHttpStream: true });
          app.http("up/{id}", { route: "up/{id}", methods: ["POST"], handler: async (request) => ({ body: request.params.id + " " + (await request.text()), headers: { "x-own": "1" } }) });
          app.http("bad", { handler: async () => { throw new Error("it broke"); } });`,
      },
      { httpLimitMs: 3_000 },
    );
    const body = ReadableStream.from([Buffer.from("kept")]);
    const init: RequestInit & { duplex: "half" } = { method: "POST", body, duplex: "half" };
    const response = await fetch(`${host.url}/api/up/7`, init);
    expect([await response.text(), response.headers.get("x-own")]).toEqual(["7 kept", "1"]);
    const bad = fetch(`${host.url}/api/bad`);
    await until(() => host.invocations()["bad"]?.failed === 1);
    expect((await bad).status).toBe(504);
  });
});
