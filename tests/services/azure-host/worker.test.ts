import { describe, expect, test } from "vitest";
import { startApp, TELL, told, until } from "./support-app.ts";

const GET = (name: string, body: string) => `app.http("${name}", { methods: ["GET"], handler: async (request, context) => { ${body} } });`;

describe("the Node worker of a host", () => {
  test("loads every file that main matches, and tells what they registered", async () => {
    const head = 'const { app } = require("@azure/functions");\n';
    const host = await startApp({
      main: "dist/{one,two}.cjs",
      files: {
        "dist/one.cjs": head + GET("one", "return { body: '1' };"),
        "dist/two.cjs": head + GET("two", "return { body: '2' };"),
        "dist/other.cjs": "throw new Error('nobody loads me');",
      },
    });
    expect(host.functions.map(({ name }) => name)).toEqual(["one", "two"]);
    expect(await (await fetch(`${host.url}/api/two`)).text()).toBe("2");
  });

  test("loads an ES module whose imports are CommonJS", async () => {
    const host = await startApp({
      main: "main.mjs",
      files: { "main.mjs": `import { app } from "@azure/functions";\n${GET("esm", "return { body: 'esm' };")}` },
    });
    expect(await (await fetch(`${host.url}/api/esm`)).text()).toBe("esm");
  });

  test("with an entry file that throws before any function is registered, leaves its stack on the console and runs nothing", async () => {
    const host = await startApp({ code: "throw new Error('settings are wrong');" });
    expect(host.functions).toEqual([]);
    expect(host.output()).toMatch(/Console: Error: Worker was unable to load entry point "main.cjs": settings are wrong\n.*Console: +at /);
    expect((await fetch(`${host.url}/api/one`)).status).toBe(404);
  });

  test("runs no function at all, and answers 503, where an entry file throws after another one registered some", async () => {
    const host = await startApp({
      main: "*.cjs",
      files: {
        "a.cjs": `const { app } = require("@azure/functions");\n${GET("one", "return {};")}`,
        "b.cjs": "throw new Error('b is broken');",
        "c.cjs": "process.stdout.write('c was loaded\\n');",
      },
    });
    expect(host.functions).toEqual([]);
    expect((await fetch(`${host.url}/api/one`)).status).toBe(503);
    expect(host.output()).toContain("b is broken");
    expect(host.output()).not.toContain("c was loaded");
  });

  test("stops at start over a data type in upper case", async () => {
    const host = await startApp({
      code: `app.generic("kafka", { trigger: { type: "kafkaTrigger", name: "event", dataType: "Binary" }, handler: () => {} });`,
    });
    expect(host.output()).toContain('Unexpected value "Binary" for type "CoreRpcBindingDataType"');
  });

  test("gives up on an app that ends its process while it loads", async () => {
    const host = await startApp({ code: "process.exit(3);" });
    expect(host.functions).toEqual([]);
    expect(host.output()).toContain("did not start 3 times; giving up");
    expect((await fetch(`${host.url}/api/one`)).status).toBe(503);
  });

  test("has the app settings in its environment, and nothing else of ours", async () => {
    process.env.PERSISTOR_SECRET_OF_THE_TEST = "secret";
    const host = await startApp(
      { code: GET("env", "return { jsonBody: [process.env.SETTING, process.env.PERSISTOR_SECRET_OF_THE_TEST ?? null] };") },
      { env: { SETTING: "value" } },
    );
    expect(await (await fetch(`${host.url}/api/env`)).json()).toEqual(["value", null]);
  });

  test("writes the app's log with its level and function, and hides debug unless host.json asks for it", async () => {
    const code = GET("log", "context.log('plain'); context.warn('warned'); context.debug('debugged'); return {};");
    const host = await startApp({ code });
    await fetch(`${host.url}/api/log`);
    expect(host.output()).toContain("[Information] Function.log.User: plain");
    expect(host.output()).toContain("[Warning] Function.log.User: warned");
    expect(host.output()).not.toContain("debugged");
    const talkative = await startApp({ code, hostJson: { logging: { logLevel: { default: "Debug" } } } });
    await fetch(`${talkative.url}/api/log`);
    expect(talkative.output()).toContain("[Debug] Function.log.User: debugged");
  });

  test("runs the app's hooks around an invocation, and lets them change it", async () => {
    const host = await startApp({
      code: `${TELL}
        app.hook.appStart(() => tell("appStart"));
        app.hook.preInvocation((context) => { context.functionHandler = async () => ({ body: "from the hook" }); });
        app.hook.postInvocation((context) => tell(["post", context.result.body]));
        app.hook.log((context) => { context.message = context.message.replace("secret", "***"); });
        ${GET("hooked", "return { body: 'from the function' };")}
        app.http("logs", { handler: async (request, context) => { context.log("a secret"); return {}; } });`,
    });
    expect(await (await fetch(`${host.url}/api/hooked`)).text()).toBe("from the hook");
    expect(told(host)).toEqual(["appStart", ["post", "from the hook"]]);
    const { output } = host;
    expect(output()).not.toContain("a secret");
  });

  test("that is killed fails what it ran, and the next one answers", async () => {
    const host = await startApp({
      code: `${GET("hangs", "await new Promise(() => {});")} ${GET("pid", "return { body: String(process.pid) };")}`,
    });
    const first = await (await fetch(`${host.url}/api/pid`)).text();
    const hanging = fetch(`${host.url}/api/hangs`);
    await until(() => host.invocations()["hangs"]?.started === 1);
    await host.killWorker();
    expect((await hanging).status).toBe(500);
    expect(host.invocations()["hangs"]).toEqual({ started: 1, succeeded: 0, failed: 1 });
    const second = await (await fetch(`${host.url}/api/pid`)).text();
    expect(second).not.toBe(first);
    expect(Number(second)).toBe(host.workerPid());
  });

  test("that runs a function beyond host.json's functionTimeout is started anew", async () => {
    const host = await startApp({ code: GET("hangs", "await new Promise(() => {});"), hostJson: { functionTimeout: "00:00:01" } });
    const pid = host.workerPid();
    expect((await fetch(`${host.url}/api/hangs`)).status).toBe(500);
    expect(host.output()).toContain("Timeout value of 1000 ms exceeded");
    await until(() => host.workerPid() !== pid);
  });

  test("ends gracefully: what runs may end, nothing new is taken, and its hooks run", async () => {
    const host = await startApp({
      code: `${TELL}
        app.hook.appTerminate(async () => tell("appTerminate"));
        process.on("exit", () => tell("exit"));
        app.http("slow", { handler: async () => { await new Promise((resolve) => setTimeout(resolve, 300)); tell("done"); return { body: "done" }; } });`,
    });
    const slow = fetch(`${host.url}/api/slow`);
    await until(() => host.invocations()["slow"]?.started === 1);
    const terminated = host.terminate();
    expect(await (await slow).text()).toBe("done");
    await terminated;
    expect(told(host)).toEqual(["done", "appTerminate", "exit"]);
    await expect(fetch(`${host.url}/api/slow`)).rejects.toThrow();
  });

  test("several instances take HTTP requests in turns", async () => {
    const host = await startApp({ code: GET("pid", "return { body: String(process.pid) };") }, { instances: 2 });
    const pids = await Promise.all(Array.from({ length: 4 }, async () => (await fetch(`${host.url}/api/pid`)).text()));
    expect(new Set(pids)).toEqual(new Set([String(host.workerPid(0)), String(host.workerPid(1))]));
  });
});
