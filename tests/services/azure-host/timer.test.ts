import { describe, expect, test } from "vitest";
import { parseSchedule } from "./ncrontab.ts";
import { startApp, TELL, told, until } from "./support-app.ts";

const next = (schedule: string, from: string) => new Date(parseSchedule(schedule).next(Date.parse(from))).toISOString();

describe("a schedule", () => {
  test.each([
    ["*/5 * * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:05.000Z"],
    ["0 */5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00.000Z"],
    ["0 0 * * * *", "2026-01-01T00:00:00.500Z", "2026-01-01T01:00:00.000Z"],
    ["30 15,45 8-10 * * *", "2026-01-01T10:45:30Z", "2026-01-02T08:15:30.000Z"],
    ["0 0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z"],
    ["0 30 9 * * Mon-Fri", "2026-01-02T09:30:00Z", "2026-01-05T09:30:00.000Z"],
    ["0 0 1 1 Jan,Jul 0", "2026-01-01T00:00:00Z", "2029-07-01T01:00:00.000Z"],
    ["5/20 * * * * *", "2026-01-01T00:00:05Z", "2026-01-01T00:00:25.000Z"],
    ["* * * * *", "2026-01-01T00:00:01Z", "2026-01-01T00:01:00.000Z"],
    ["00:00:10", "2026-01-01T00:00:01Z", "2026-01-01T00:00:11.000Z"],
  ])("%s comes after %s at %s", (schedule, from, due) => {
    expect(next(schedule, from)).toBe(due);
  });

  test.each(["", "* * *", "60 * * * * *", "0 0 0 * 13 *", "0 0 0 0 * *", "x * * * * *", "*/0 * * * * *", "5-2 * * * * *", "0 0 0 31 2 *"])(
    "'%s' is refused",
    (schedule) => {
      expect(() => next(schedule, "2026-01-01T00:00:00Z")).toThrow("reading the schedule");
    },
  );
});

const TIMER = (schedule: string, body = "") => `${TELL}
  app.timer("tick", { schedule: "${schedule}", handler: async (timer, context) => { ${body} tell(timer); } });`;

describe("timer functions", () => {
  test("run at their time, over and over, one run after the other", async () => {
    const host = await startApp({ code: TIMER("* * * * * *", "await new Promise((resolve) => setTimeout(resolve, 100));") });
    await until(() => told(host).length >= 2);
    const [first, second] = told(host) as { isPastDue: boolean; schedule: object; scheduleStatus: { last: string; next: string } }[];
    expect(first).toMatchObject({
      isPastDue: false,
      schedule: { adjustForDST: true },
      scheduleStatus: { last: "0001-01-01T00:00:00+00:00" },
    });
    expect(Date.parse(second?.scheduleStatus.next ?? "")).toBeGreaterThan(Date.parse(second?.scheduleStatus.last ?? ""));
  });

  test("have their schedule from an app setting, and stay out of it where timers are off", async () => {
    const host = await startApp({ code: TIMER("%WHEN%") }, { env: { WHEN: "* * * * * *" }, timers: false });
    expect(host.functions).toEqual([{ name: "tick", type: "timerTrigger", schedule: "* * * * * *" }]);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(told(host)).toEqual([]);
  });

  test("run on demand by the admin API, with the master key alone", async () => {
    const host = await startApp({ code: TIMER("0 0 0 1 1 *") }, { timers: false });
    const post = (path: string, key: string) => fetch(`${host.url}${path}`, { method: "POST", headers: { "x-functions-key": key } });
    expect((await post("/admin/functions/tick", host.keys.host)).status).toBe(401);
    expect((await post("/admin/functions/other", host.keys.master)).status).toBe(404);
    expect((await post("/admin/functions/tick", host.keys.master)).status).toBe(202);
    await until(() => told(host).length === 1);
  });

  test("go on after a run that failed, and retry it by their policy before that", async () => {
    const retry = "retry: { strategy: 'fixedDelay', maxRetryCount: 2, delayInterval: 0 },";
    const host = await startApp(
      {
        code: `${TELL} app.timer("tick", { schedule: "0 0 0 1 1 *", ${retry} handler: async (timer, context) => { tell(context.retryContext.retryCount); throw new Error("no"); } });`,
      },
      { timers: false },
    );
    const run = () => fetch(`${host.url}/admin/functions/tick?code=${host.keys.master}`, { method: "POST" });
    await run();
    await until(() => host.invocations()["tick"]?.failed === 3);
    await run();
    await until(() => host.invocations()["tick"]?.failed === 6);
    expect(told(host)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("with a schedule that is none are in error, while the others run", async () => {
    const host = await startApp({ code: `${TIMER("every day")} app.http("other", { handler: async () => ({ body: "runs" }) });` });
    expect(host.functions.find(({ name }) => name === "tick")?.error).toContain("reading the schedule");
    expect(await (await fetch(`${host.url}/api/other`)).text()).toBe("runs");
  });

  test("run on one instance of several", async () => {
    const host = await startApp({ code: TIMER("* * * * * *", "tell(process.pid);") }, { instances: 2 });
    await until(() => told(host).length >= 4);
    expect(new Set(told(host).filter((value) => typeof value === "number"))).toEqual(new Set([host.workerPid(0)]));
  });
});
