import { describe, expect, test } from "vitest";
import { told, until } from "./support-app.ts";
import { eventHubSuite, texts } from "./support-event-hub.ts";

const suite = eventHubSuite();

describe("an Event Hubs function", () => {
  test("gets the bytes of its events, in their order, and their metadata", async () => {
    const hub = await suite.freshHub();
    const host = await suite.hostOf({ hub, body: "tell(input); tell(context.triggerMetadata);" });
    await suite.send(hub, [
      { body: Buffer.of(0, 255), properties: { Kind: "A", n: 5 }, messageId: "123", contentType: "a/b", correlationId: "c" },
      { body: Buffer.alloc(0) },
    ]);
    await until(() => told(host).length === 2);
    expect(told(host)[0]).toEqual([{ hex: "00ff" }, { hex: "" }]);
    expect(told(host)[1]).toMatchObject({
      partitionContext: { partitionId: "0", eventHubName: hub, consumerGroup: "$Default", isCheckpointingAfterInvocation: true },
      propertiesArray: [{ kind: "A", n: 5 }, {}],
      partitionKeyArray: [],
      sequenceNumberArray: [0, 1],
      offsetArray: [0, expect.any(Number)],
      enqueuedTimeUtcArray: [expect.not.stringContaining("Z"), expect.any(String)],
      systemPropertiesArray: [
        { sequenceNumber: 0, "message-id": "123", "content-type": "a/b", "correlation-id": "c" },
        { sequenceNumber: 1 },
      ],
    });
  });

  test("of one event gets each on its own, in order, as text or parsed", async () => {
    const hub = await suite.freshHub();
    const host = await suite.hostOf({ hub, trigger: 'cardinality: "one"', body: "tell([input, context.triggerMetadata.sequenceNumber]);" });
    await suite.send(hub, texts("plain", '{"a":1}', "12"));
    await until(() => told(host).length === 3);
    expect(told(host)).toEqual([
      ["plain", 0],
      [{ a: 1 }, 1],
      [12, 2],
    ]);
  });

  test("gets batches of host.json's size at most, one at a time of a partition, and partitions beside each other", async () => {
    const hub = await suite.freshHub(2);
    const host = await suite.hostOf({
      hub,
      body: `const id = context.triggerMetadata.partitionContext.partitionId;
        tell([id, input.length, "in"]);
        globalThis.begun = new Set(globalThis.begun).add(id);
        const untilMs = Date.now() + 10_000;
        do await new Promise((resolve) => setTimeout(resolve, 200)); while (globalThis.begun.size < 2 && Date.now() < untilMs);
        tell([id, input.length, "out"]);`,
      hostJson: { maxEventBatchSize: 2 },
    });
    await Promise.all([suite.send(hub, texts("a", "b", "c"), "0"), suite.send(hub, texts("d", "e", "f"), "1")]);
    await until(() => told(host).length >= 8);
    const steps = told(host) as [string, number, string][];
    for (const id of ["0", "1"]) {
      expect(steps.filter(([partition]) => partition === id).map(([, , step]) => step)).toEqual(["in", "out", "in", "out"]);
    }
    expect(steps.slice(0, 2).map(([, , step]) => step)).toEqual(["in", "in"]);
    expect(steps.every(([, size]) => size <= 2)).toBe(true);
  });

  test("waits for minEventBatchSize events, but no longer than maxWaitTime, and not at all at first", async () => {
    const hub = await suite.freshHub();
    const host = await suite.hostOf({ hub, body: "tell(input.length);", hostJson: { minEventBatchSize: 3, maxWaitTime: "00:00:04" } });
    await suite.send(hub, texts("first"));
    await until(() => told(host).length === 1);
    await suite.send(hub, texts("a"));
    await suite.send(hub, texts("b", "c"));
    await until(() => told(host).length === 2);
    await suite.send(hub, texts("d"));
    await until(() => told(host).length === 3);
    expect(told(host)).toEqual([1, 3, 1]);
  });
});
