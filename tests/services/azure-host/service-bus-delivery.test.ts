import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { startApp, TELL, told, until } from "./support-app.ts";
import { bodies, MANY_BINARY, serviceBusSuite } from "./support-service-bus.ts";

const suite = serviceBusSuite();

describe("a Service Bus function of a batch", () => {
  test("abandons all of them by its failure, and they come again, counted", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(context.triggerMetadata.deliveryCountArray); if (context.triggerMetadata.deliveryCountArray[0] < 3) throw new Error('not yet');",
    });
    await send(...bodies("a", "b"));
    await until(async () => (await suite.server.counts(queue)).completed === 2);
    expect(told(host)).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    expect(host.invocations()["run"]).toEqual({ started: 3, succeeded: 1, failed: 2 });
  });

  test("runs one batch at a time, of host.json's size at most", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      head: "let running = 0;",
      body: "running++; tell([running, input.length]); await new Promise((resolve) => setTimeout(resolve, 50)); running--;",
      hostJson: { maxMessageBatchSize: 4 },
    });
    await send(...bodies(..."abcdefghij"));
    await until(async () => (await suite.server.counts(queue)).completed === 10);
    const batches = told(host) as [number, number][];
    expect(batches.every(([atOnce, size]) => atOnce === 1 && size <= 4)).toBe(true);
    expect(batches.reduce((sum, [, size]) => sum + size, 0)).toBe(10);
  });

  test("waits for minMessageBatchSize messages, but no longer than maxBatchWaitTime", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(input.length);",
      hostJson: { minMessageBatchSize: 3, maxBatchWaitTime: "00:00:04" },
    });
    await send(...bodies("a"));
    await send(...bodies("b"));
    await send(...bodies("c"));
    await until(async () => (await suite.server.counts(queue)).completed === 3);
    await send(...bodies("d"));
    await until(async () => (await suite.server.counts(queue)).completed === 4);
    expect(told(host)).toEqual([3, 1]);
  });

  test("fails, and is abandoned by the host, where its worker is killed", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(process.pid); if (context.triggerMetadata.deliveryCountArray[0] === 1) await new Promise(() => {});",
    });
    await send(...bodies("a", "b"));
    await until(() => told(host).length === 1);
    await host.killWorker();
    await until(async () => (await suite.server.counts(queue)).completed === 2);
    expect(new Set(told(host)).size).toBe(2);
  });

  test("leaves its messages locked where the whole host goes down", async () => {
    const { host, queue, send } = await suite.running({ trigger: MANY_BINARY, body: "tell(1); await new Promise(() => {});" });
    await send(...bodies("a", "b"));
    await until(() => told(host).length === 1);
    await host.stop();
    expect(await suite.server.counts(queue)).toMatchObject({ locked: 2, completed: 0, active: 0 });
  });

  test("may end when the host is asked to, and takes nothing new", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(1); await new Promise((resolve) => setTimeout(resolve, 300));",
    });
    await send(...bodies("a"));
    await until(() => told(host).length === 1);
    const terminated = host.terminate();
    await send(...bodies("late"));
    await terminated;
    expect(await suite.server.counts(queue)).toMatchObject({ completed: 1, active: 1, locked: 0 });
  });

  test("goes on where its connection was cut", async () => {
    const { host, queue, send } = await suite.running({ trigger: MANY_BINARY, body: "tell(input.length);" });
    await send(...bodies("a"));
    await until(async () => (await suite.server.counts(queue)).completed === 1);
    await suite.server.dropConnections();
    await send(...bodies("b"));
    await until(async () => (await suite.server.counts(queue)).completed === 2);
    expect(told(host)).toEqual([1, 1]);
  });

  test("keeps no lock alive: a batch that takes longer than its lock comes again, though it succeeded", async () => {
    const { host, queue, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(context.triggerMetadata.deliveryCountArray[0]); if (context.triggerMetadata.deliveryCountArray[0] === 1) await new Promise((resolve) => setTimeout(resolve, 4_000));",
      queue: { lockMs: 3_000 },
    });
    await send(...bodies("a"));
    await until(async () => (await suite.server.counts(queue)).completed === 1, host.output);
    expect(told(host)).toEqual([1, 2]);
    expect(host.invocations()["run"]).toEqual({ started: 2, succeeded: 2, failed: 0 });
    expect(host.output()).toContain("An unhandled exception occurred in the message batch receive loop");
  });

  test("takes prefetchCount messages before it wants them", async () => {
    const { queue, host, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(input.length); await new Promise(() => {});",
      hostJson: { prefetchCount: 5, maxMessageBatchSize: 2 },
    });
    await send(...bodies(..."abcdefgh"));
    await until(() => told(host).length === 1, host.output);
    expect(told(host)).toEqual([2]);
    await until(async () => (await suite.server.counts(queue)).locked === 5, host.output);
  });

  test("leaves its messages alone with autoCompleteMessages false, until their locks end", async () => {
    const { queue, host, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(1);",
      hostJson: { autoCompleteMessages: false },
    });
    await send(...bodies("a"));
    await until(() => host.invocations()["run"]?.succeeded === 1, host.output);
    expect(await suite.server.counts(queue)).toMatchObject({ locked: 1, completed: 0 });
  });

  test("several instances share a queue, each with a batch of its own", async () => {
    const { queue, host, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(process.pid); await new Promise((resolve) => setTimeout(resolve, 300));",
      hostJson: { maxMessageBatchSize: 1 },
      options: { instances: 2 },
    });
    await send(...bodies("a", "b", "c", "d"));
    await until(async () => (await suite.server.counts(queue)).completed === 4, host.output);
    expect(new Set(told(host))).toEqual(new Set([host.workerPid(0), host.workerPid(1)]));
  });

  test("is let in by the host's identity where its connection is a name", async () => {
    const queue = `queue-${randomUUID()}`;
    const { server } = suite;
    await server.createQueue(queue);
    await server.allowIdentityTokens(["token-of-the-host"]);
    const host = await startApp(
      { code: `${TELL} app.serviceBusQueue("run", { queueName: "${queue}", connection: "BUS", handler: async (input) => tell(input) });` },
      { env: { BUS__fullyQualifiedNamespace: `${server.host}:${server.port}` }, identityToken: "token-of-the-host" },
    );
    await suite.send(queue, bodies("in"));
    await until(() => told(host).length === 1, host.output);
  });

  test("is in error where its connection is not set, while other functions run", async () => {
    const host = await startApp({
      code: `app.serviceBusQueue("run", { queueName: "q", connection: "MISSING", handler: async () => {} });
        app.http("other", { handler: async () => ({ body: "runs" }) });`,
    });
    expect(host.functions.find(({ name }) => name === "run")?.error).toContain("'MISSING'");
    expect(await (await fetch(`${host.url}/api/other`)).text()).toBe("runs");
  });
});
