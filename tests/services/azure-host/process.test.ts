import { randomUUID } from "node:crypto";
import { ServiceBusClient } from "@azure/service-bus";
import { expect, onTestFinished, test } from "vitest";
import { startServiceBusServer } from "../service-bus-server.ts";
import { type AzureHostProcess, startAzureHostProcess } from "./process.ts";
import { until, writeApp } from "./support-app.ts";

async function started(code: string, env: Record<string, string> = {}): Promise<AzureHostProcess> {
  const host = await startAzureHostProcess({ appDir: writeApp({ code }), env });
  onTestFinished(() => host.kill());
  return host;
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("a host's process tells its functions and their invocations, and takes its workers with it when it is killed", async () => {
  const host = await started(`app.http("pid", { handler: async () => ({ body: String(process.pid) }) });`);
  const pid = Number(await (await fetch(`${host.url}/api/pid`)).text());
  expect(await host.functions()).toEqual([
    {
      name: "pid",
      type: "httpTrigger",
      route: "api/pid",
      methods: ["GET", "POST"],
      authLevel: "anonymous",
      invocations: { started: 1, succeeded: 1, failed: 0 },
    },
  ]);
  expect(isRunning(pid)).toBe(true);
  await host.kill();
  await until(() => !isRunning(pid));
});

test("a host's process ends gracefully on SIGTERM", async () => {
  const host = await started(`app.hook.appTerminate(() => console.log("hook ran")); app.http("any", { handler: async () => ({}) });`);
  expect(await host.terminate()).toBe(0);
  expect(host.output()).toContain("hook ran");
});

test("a host's process that is killed settles nothing, and the next one gets it all again", async () => {
  const server = await startServiceBusServer();
  onTestFinished(() => server.stop());
  const queue = `queue-${randomUUID()}`;
  await server.createQueue(queue);
  const code = (body: string) => `app.generic("run", { trigger: { type: "serviceBusTrigger", name: "input", queueName: "${queue}",
    connection: "BUS", cardinality: "many", dataType: "binary" }, handler: async (input, context) => { ${body} } });`;
  const env = { BUS: server.connectionString };
  const host = await started(code("console.log('got', input.length); await new Promise(() => {});"), env);
  const client = new ServiceBusClient(server.connectionString);
  await client.createSender(queue).sendMessages([{ body: "a" }, { body: "b" }]);
  await client.close();
  await until(() => host.output().includes("got 2"), host.output);
  await host.kill();
  expect(await server.counts(queue)).toMatchObject({ locked: 2, completed: 0 });
  await server.expireLocks(queue);
  const next = await started(code("console.log('counts', context.triggerMetadata.deliveryCountArray);"), env);
  await until(async () => (await server.counts(queue)).completed === 2, next.output);
  expect(next.output()).toContain("counts [ 2, 2 ]");
});
