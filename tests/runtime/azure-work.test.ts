import { expect, test } from "vitest";
import { workedTogether } from "../../shared/runtime/azure/resubmit-work.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";
import { messages } from "../fixtures/messages.ts";

const DRIVE_MS = 8 * 60_000;

test("jobs of one batch share the time of one function, and one that fails is released alone", async () => {
  const clock = fakeClock();
  const limits: number[] = [];
  const work = workedTogether(clock, async ({ brokerMessageId }, limitMs) => {
    limits.push(limitMs);
    if (brokerMessageId === "1") throw new Error("away");
    if (limitMs > 0) await clock.sleep(limitMs);
    return { kind: "stored" };
  });
  const working = work(messages(7));
  while (limits.length < 5) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(DRIVE_MS);
  expect((await working).map(({ kind }) => kind)).toEqual(["stored", "released", "stored", "stored", "stored", "stored", "stored"]);
  expect(limits).toEqual([DRIVE_MS, DRIVE_MS, DRIVE_MS, DRIVE_MS, DRIVE_MS, 0, 0]);
});
