import type { ServiceBusMessage } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { told, until } from "./support-app.ts";
import { serviceBusSuite } from "./support-service-bus.ts";

const suite = serviceBusSuite();

describe("a Service Bus function of sessions", () => {
  const SESSIONS = { queue: { requiresSession: true }, hostJson: { sessionIdleTimeout: "00:00:01", maxConcurrentSessions: 2 } };
  const inSessions = (...names: string[]): ServiceBusMessage[] =>
    names.map((name) => ({ body: Buffer.from(name), sessionId: name.slice(0, 1) }));

  test("of single messages gets those of a session one after the other, and sessions beside each other", async () => {
    const { queue, host, send } = await suite.running({
      ...SESSIONS,
      head: "const begun = new Set();",
      body: `tell([input, 'in']);
        begun.add(input[0]);
        const untilMs = Date.now() + 10_000;
        do await new Promise((resolve) => setTimeout(resolve, 300)); while (begun.size < 2 && Date.now() < untilMs);
        tell([input, 'out']);`,
    });
    await send(...inSessions("a1", "b1", "a2", "b2"));
    await until(async () => (await suite.server.counts(queue)).completed === 4, host.output);
    const steps = told(host) as [string, string][];
    for (const id of ["a", "b"]) {
      expect(steps.filter(([name]) => name.startsWith(id)).map(([name, step]) => `${name} ${step}`)).toEqual([
        `${id}1 in`,
        `${id}1 out`,
        `${id}2 in`,
        `${id}2 out`,
      ]);
    }
    expect(steps.slice(0, 2).map(([, step]) => step)).toEqual(["in", "in"]);
  });

  test("of a batch gets one session at a time, and its failure gives the messages back", async () => {
    const { queue, host, send } = await suite.running({
      ...SESSIONS,
      trigger: 'cardinality: "many", dataType: "string"',
      body: "const { sessionIdArray: ids, deliveryCountArray: counts } = context.triggerMetadata; tell([ids, input]); if (counts[0] === 1) throw new Error('no');",
    });
    await send(...inSessions("a1", "b1", "a2", "b2"));
    await until(async () => (await suite.server.counts(queue)).completed === 4, host.output);
    const batch = (id: string) => [
      [id, id],
      [`${id}1`, `${id}2`],
    ];
    expect(told(host)).toHaveLength(4);
    expect(told(host)).toEqual(expect.arrayContaining([batch("a"), batch("b")]));
  });
});
