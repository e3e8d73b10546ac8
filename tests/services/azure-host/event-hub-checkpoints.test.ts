import { ContainerClient } from "@azure/storage-blob";
import { describe, expect, onTestFinished, test } from "vitest";
import { told, until } from "./support-app.ts";
import { eventHubSuite, freshFolder, hex, startAzurite, texts } from "./support-event-hub.ts";

const suite = eventHubSuite();

describe("an Event Hubs function's place in its hub", () => {
  test("loses what it fails with: the checkpoint moves on", async () => {
    const hub = await suite.freshHub();
    const stateDir = freshFolder();
    const body = "tell(input); if (input[0].toString() === 'bad') throw new Error('no');";
    const host = await suite.hostOf({ hub, body, options: { stateDir } });
    await suite.send(hub, texts("bad"));
    await until(() => told(host).length === 1);
    await suite.send(hub, texts("good"));
    await until(() => suite.checkpointIn(stateDir, hub) === 1);
    await host.stop();
    const next = await suite.hostOf({ hub, body, options: { stateDir } });
    await suite.send(hub, texts("later"));
    await until(() => told(next).length === 1);
    expect(told(host)).toEqual([[hex("bad")], [hex("good")]]);
    expect(told(next)).toEqual([[hex("later")]]);
  });

  test("keeps what it fails with for as long as its retry policy says, across killed workers", async () => {
    const hub = await suite.freshHub();
    const host = await suite.hostOf({
      hub,
      body: "tell([input.length, context.retryContext.retryCount]); if (context.retryContext.retryCount < 3) throw new Error('no');",
      retry: "retry: { strategy: 'exponentialBackoff', maxRetryCount: -1, minimumInterval: 1000, maximumInterval: 1000 },",
    });
    await suite.send(hub, texts("a", "b"));
    await until(() => told(host).length >= 2);
    await host.killWorker();
    await until(() => host.invocations()["run"]?.succeeded === 1);
    expect(told(host).slice(0, 2)).toEqual([
      [2, 0],
      [2, 1],
    ]);
    expect(told(host).at(-1)).toEqual([2, 3]);
  });

  test("gets again, after the whole host went down, what it was at", async () => {
    const hub = await suite.freshHub();
    const stateDir = freshFolder();
    const host = await suite.hostOf({
      hub,
      body: "tell(input); if (input[0].toString() === 'b') await new Promise(() => {});",
      options: { stateDir },
    });
    await suite.send(hub, texts("a"));
    await until(() => suite.checkpointIn(stateDir, hub) === 0);
    await suite.send(hub, texts("b"));
    await until(() => told(host).length === 2);
    await host.stop();
    const next = await suite.hostOf({ hub, body: "tell(input);", options: { stateDir } });
    await until(() => told(next).length === 1);
    expect(told(next)).toEqual([[hex("b")]]);
  });

  test("may end when the host is asked to; what it was at is not checkpointed and comes again", async () => {
    const hub = await suite.freshHub();
    const stateDir = freshFolder();
    const body = "tell('in'); await new Promise((resolve) => setTimeout(resolve, 1_500)); tell('out');";
    const host = await suite.hostOf({ hub, body, options: { stateDir } });
    await suite.send(hub, texts("a"));
    await until(() => told(host).length >= 1);
    await host.terminate();
    expect(told(host)).toEqual(["in", "out"]);
    const next = await suite.hostOf({ hub, body, options: { stateDir } });
    await until(() => told(next).length === 2);
  });

  test("goes on behind what it read where its connection was cut", async () => {
    const hub = await suite.freshHub();
    const host = await suite.hostOf({ hub, body: "tell(input);" });
    await suite.send(hub, texts("a"));
    await until(() => told(host).length === 1);
    await suite.server.dropConnections();
    await suite.send(hub, texts("b"));
    await until(() => told(host).length === 2);
    expect(told(host)).toEqual([[hex("a")], [hex("b")]]);
  });

  test("shares a hub's partitions among instances", async () => {
    const hub = await suite.freshHub(2);
    const host = await suite.hostOf({
      hub,
      body: "tell([context.triggerMetadata.partitionContext.partitionId, process.pid]);",
      options: { instances: 2 },
    });
    await suite.send(hub, texts("a"), "0");
    await suite.send(hub, texts("b"), "1");
    await until(() => told(host).length === 2);
    expect(new Map(told(host) as [string, number][])).toEqual(
      new Map([
        ["0", host.workerPid(0)],
        ["1", host.workerPid(1)],
      ]),
    );
  });

  test("keeps its checkpoints in the storage account of AzureWebJobsStorage", async () => {
    const { service, connectionString } = await startAzurite();
    onTestFinished(() => service.stop());
    const hub = await suite.freshHub();
    const env = { HUBS: suite.server.connectionString, AzureWebJobsStorage: connectionString };
    const host = await suite.hostOf({ hub, body: "tell(input);", options: { env } });
    await suite.send(hub, texts("a"));
    const container = new ContainerClient(connectionString, "azure-webjobs-eventhub");
    const checkpoint = async () => {
      const blobs = await Array.fromAsync(container.listBlobsFlat({ includeMetadata: true }));
      return blobs.find(({ name }) => name.endsWith("/$default/checkpoint/0"))?.metadata?.["sequencenumber"];
    };
    await until(async () => (await checkpoint()) === "0");
    await suite.send(hub, texts("b"));
    await until(async () => (await checkpoint()) === "1");
    await host.stop();
    await suite.send(hub, texts("c"));
    const next = await suite.hostOf({ hub, body: "tell(input);", options: { env } });
    await until(() => told(next).length === 1);
    expect(told(next)).toEqual([[hex("c")]]);
  });

  test("is in error without a place for its checkpoints", async () => {
    const host = await suite.hostOf({ hub: "any", body: "", options: { stateDir: undefined } });
    expect(host.functions[0]?.error).toContain("AzureWebJobsStorage");
  });
});
