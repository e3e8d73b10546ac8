import { describe, expect, test } from "vitest";
import { told, until } from "./support-app.ts";
import { serviceBusSuite } from "./support-service-bus.ts";

const suite = serviceBusSuite();

describe("a Service Bus function with the SDK binding", () => {
  test("gets each message whole: ids, names and types of properties, bytes", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `for (const message of messages) {
        tell([message.messageId, message.correlationId, message.applicationProperties, message._rawAmqpMessage.body.content, message.deliveryCount]);
        await actions.complete(message);
      }`,
    });
    const body = Buffer.of(0, 255, 1);
    await send(
      { body, messageId: "1e3", correlationId: "", applicationProperties: { Kind: "A", kind: 5, Flag: true, Text: "null" } },
      { body: Buffer.alloc(0), messageId: "12345678901234567890" },
    );
    await until(async () => (await suite.server.counts(queue)).completed === 2);
    // The delivery count is in the header, which the extension loses.
    expect(told(host)).toEqual([
      ["1e3", "", { Kind: "A", kind: 5, Flag: true, Text: "null" }, { hex: "00ff01" }, 0],
      ["12345678901234567890", { undefined: true }, {}, { hex: "" }, 0],
    ]);
  });

  test("settles each message in its own way, during the invocation", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `for (const message of messages) {
        const { subject } = message;
        if (subject === "complete") await actions.complete(message);
        if (subject === "abandon") await actions.abandon(message);
        if (subject === "defer") await actions.defer(message);
        if (subject === "dead-letter") await actions.deadletter(message, undefined, { value: "reason" }, { value: "description" });
        await actions.renewMessageLock(message).then(() => tell("renewed"), (error) => tell(error.details.includes("lock") || error.details));
      }`,
      queue: { maxDeliveryCount: 2 },
    });
    await send(...["complete", "abandon", "defer", "dead-letter"].map((subject) => ({ body: "x", subject })));
    await until(async () => (await suite.server.counts(`${queue}/$DeadLetterQueue`)).active === 2);
    expect(await suite.server.counts(queue)).toMatchObject({ completed: 1, deferred: 1 });
    const dead = await suite.server.messages(`${queue}/$DeadLetterQueue`);
    expect(dead.map(({ deadLetterReason }) => deadLetterReason).sort()).toEqual(["MaxDeliveryCountExceeded", "reason"]);
    expect(host.invocations()["run"]?.failed).toBe(0);
  });

  test("cannot dead-letter with a reason that is a text, which the extension does not wrap", async () => {
    const { host, send } = await suite.runningSdk({
      body: `await actions.deadletter(messages[0], undefined, "reason").catch((error) => tell(error.details));`,
    });
    await send({ body: "x" });
    await until(() => told(host).length === 1);
    expect(told(host)[0]).toContain("deadletterReason: object expected");
  });

  test("renews a lock by the settlement service", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `for (let i = 0; i < 9; i++) { await new Promise((resolve) => setTimeout(resolve, 500)); await actions.renewMessageLock(messages[0]); }
       await actions.complete(messages[0]); tell("completed");`,
      queue: { lockMs: 4_000 },
    });
    await send({ body: "x" });
    await until(() => told(host).length === 1);
    expect(told(host)).toEqual(["completed"]);
    expect((await suite.server.counts(queue)).completed).toBe(1);
  });

  test("leaves locked what it succeeds without settling, and has abandoned what it fails with", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `tell(messages.length); if (messages[0].subject === "fail") throw new Error("no");`,
      queue: { maxDeliveryCount: 2 },
    });
    await send({ body: "x", subject: "keep" });
    await until(() => told(host).length === 1);
    await until(() => host.invocations()["run"]?.succeeded === 1);
    expect(await suite.server.counts(queue)).toMatchObject({ locked: 1, completed: 0 });
    await send({ body: "x", subject: "fail" });
    await until(async () => (await suite.server.counts(`${queue}/$DeadLetterQueue`)).active === 1);
  });

  test("cannot settle after the invocation", async () => {
    const { host, send } = await suite.runningSdk({
      body: `setTimeout(() => actions.complete(messages[0]).catch((error) => tell(error.details)), 1_000);`,
    });
    await send({ body: "x" });
    await until(() => told(host).length === 1);
    expect(told(host)[0]).toMatch(/^LockToken [0-9a-f-]{36} not found.$/);
  });

  test("of single messages takes several at once, and has their locks renewed", async () => {
    const { host, queue, send } = await suite.runningSdk({
      trigger: 'cardinality: "one"',
      body: `tell("start"); if (messages.subject === "long") await new Promise((resolve) => setTimeout(resolve, 6_000));
        await actions.complete(messages);`,
      queue: { lockMs: 4_000 },
      hostJson: { maxConcurrentCalls: 2 },
    });
    await send({ body: "a", subject: "long" }, { body: "b", subject: "long" }, { body: "c" });
    await until(() => told(host).length === 2);
    expect((await suite.server.counts(queue)).locked).toBe(2);
    await until(async () => (await suite.server.counts(queue)).completed === 3);
    expect(told(host)).toHaveLength(3);
  });

  test("of sessions gets one session's messages in their order, and its state", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `for (const message of messages) { tell([message.sessionId, message.subject]); await actions.complete(message); }
       await actions.setSessionState(messages[0].sessionId, Buffer.from("state")); await actions.renewSessionLock(messages[0].sessionId);`,
      queue: { requiresSession: true },
      hostJson: { sessionIdleTimeout: "00:00:01" },
    });
    await send(...["a1", "b1", "a2", "b2"].map((subject) => ({ body: "x", subject, sessionId: subject.slice(0, 1) })));
    await until(async () => (await suite.server.counts(queue)).completed === 4);
    const order = (session: string) => (told(host) as [string, string][]).filter(([id]) => id === session).map(([, subject]) => subject);
    expect([order("a"), order("b")]).toEqual([
      ["a1", "a2"],
      ["b1", "b2"],
    ]);
    await until(() => host.invocations()["run"]?.succeeded === 2, host.output);
    expect(host.invocations()["run"]?.failed).toBe(0);
  });

  test("is told where a lock was lost that it settles by", async () => {
    const { host, queue, send } = await suite.runningSdk({
      body: `await new Promise((resolve) => setTimeout(resolve, 1_000));
        await actions.complete(messages[0]).then(() => tell("completed"), (error) => tell(error.details));`,
      queue: { lockMs: 300, maxDeliveryCount: 2 },
    });
    await send({ body: "x" });
    await until(() => told(host).length === 2);
    await until(async () => (await suite.server.counts(`${queue}/$DeadLetterQueue`)).active === 1);
    expect(told(host)).toEqual([expect.stringContaining("lock"), expect.stringContaining("lock")]);
  });
});
