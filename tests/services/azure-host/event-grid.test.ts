import { describe, expect, test } from "vitest";
import type { AzureHost } from "./host.ts";
import { startApp, TELL, told } from "./support-app.ts";

const CODE = `${TELL}
  app.eventGrid("one", { handler: async (event, context) => { if (event.data.bad) throw new Error("bad event"); tell([event, context.triggerMetadata.data]); } });
  app.eventGrid("many", { cardinality: "many", handler: async (events) => tell(events) });`;

const event = (id: string, data: object = {}) => ({
  id,
  topic: "t",
  subject: "s",
  eventType: "e",
  eventTime: "2026-01-01T00:00:00.5000000Z",
  dataVersion: "1",
  data,
});

const post = (host: AzureHost, name: string, type: string, body: unknown, key = host.keys.eventGrid) =>
  fetch(`${host.url}/runtime/webhooks/EventGrid?functionName=${name}&code=${key}`, {
    method: "POST",
    headers: { "aeg-event-type": type, "content-type": "application/json" },
    body: JSON.stringify(body),
  });

describe("Event Grid functions", () => {
  test("answer the handshake of both schemas", async () => {
    const host = await startApp({ code: CODE });
    const grid = await post(host, "one", "SubscriptionValidation", [{ data: { validationCode: "code-1" } }]);
    expect([grid.status, await grid.json()]).toEqual([200, { validationResponse: "code-1" }]);
    const cloud = await post(host, "one", "SubscriptionValidation", { data: JSON.stringify({ validationCode: "code-2" }) });
    expect(await cloud.json()).toEqual({ validationResponse: "code-2" });
    expect(told(host)).toEqual([]);
  });

  test("run once for each event, or once for all with cardinality many; times in it are written anew", async () => {
    const host = await startApp({ code: CODE });
    const events = [event("1", { a: 1 }), event("2", { Time: "2026-01-01T02:00:00+02:00" })];
    expect((await post(host, "one", "Notification", events)).status).toBe(202);
    const written = events.map((one) => ({ ...one, eventTime: "2026-01-01T00:00:00.5Z" }));
    const reached = [
      [written[0], { a: 1 }],
      [{ ...written[1], data: { Time: "2026-01-01T00:00:00+00:00" } }, { time: "2026-01-01T00:00:00+00:00" }],
    ];
    expect(told(host)).toEqual(expect.arrayContaining(reached));
    expect((await post(host, "many", "Notification", [event("3"), event("4")])).status).toBe(202);
    expect(told(host)[2]).toMatchObject([{ id: "3" }, { id: "4" }]);
  });

  test("take a CloudEvent that comes alone", async () => {
    const host = await startApp({ code: CODE });
    const cloud = { specversion: "1.0", id: "c", source: "/s", type: "t", data: { x: 1 } };
    expect((await post(host, "one", "Notification", cloud)).status).toBe(202);
    expect(told(host)).toEqual([[cloud, { x: 1 }]]);
  });

  test("answer 500 where one of several events fails", async () => {
    const host = await startApp({ code: CODE });
    const response = await post(host, "one", "Notification", [event("1"), event("2", { bad: true })]);
    expect([response.status, await response.text()]).toEqual([500, "bad event"]);
    expect(host.invocations()["one"]).toEqual({ started: 2, succeeded: 1, failed: 1 });
  });

  test("are found by name, and by the system key alone", async () => {
    const host = await startApp({ code: CODE });
    expect((await post(host, "none", "Notification", [event("1")])).status).toBe(404);
    expect((await post(host, "one", "Notification", [event("1")], "wrong")).status).toBe(401);
    expect((await post(host, "one", "Unsubscribe", {})).status).toBe(202);
    expect((await post(host, "one", "Other", {})).status).toBe(400);
  });
});
