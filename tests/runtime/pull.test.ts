import { describe, expect, test } from "vitest";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { drainedWhen } from "../../shared/runtime/drained-when.ts";
import { type DrainedWhen, pull } from "../../shared/runtime/pull.ts";
import type { PipelineSettings } from "../../shared/runtime/settings/pipelines.ts";
import { createSourceStates } from "../../shared/runtime/source-states.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";
import { messages } from "../fixtures/messages.ts";

const MAX_MESSAGES = 100;
const MAX_BYTES = 1_000_000;
const MAX_WAIT_MS = 2_000;

/** Gives batches of these sizes, each after the whole wait: so slow is no broker here. */
function slowSource(
  sizes: readonly number[],
  payloadBytes: number,
  clock: ReturnType<typeof fakeClock>,
): Pick<Source, "receive" | "extend"> {
  const left = [...sizes];
  return {
    async receive({ maxMessages }) {
      if (maxMessages === 0) return [];
      await clock.advance(MAX_WAIT_MS);
      const payload = Buffer.alloc(payloadBytes);
      return messages(left.shift() ?? 0, () => ({ payload })).map((message): Delivery => ({ ackId: "", attempt: 1, message }));
    },
    extend: async () => undefined,
  };
}

async function drained(sizes: readonly number[], payloadBytes = 10, until: DrainedWhen = "nearly-empty"): Promise<number[]> {
  const clock = fakeClock();
  const got: number[] = [];
  await pull({
    source: slowSource(sizes, payloadBytes, clock) as Source,
    receive: { maxMessages: MAX_MESSAGES, maxBytes: MAX_BYTES, maxWaitMs: MAX_WAIT_MS },
    handle: async (deliveries) => got.push(deliveries.length),
    batchesInFlight: 1,
    clock,
    log: NO_LOG,
    meter: NO_METER,
    state: createSourceStates(clock, NO_LOG).of("slow"),
    signal: new AbortController().signal,
    until,
  });
  return got;
}

describe("a source that is drained", () => {
  test("is read on while its batches are not full, but not nearly empty either: it may be slow", async () => {
    expect(await drained([60, 100, 40, 15, 7, 99])).toEqual([60, 100, 40, 15, 7]);
  });

  test("counts what few large messages fill of a batch", async () => {
    expect(await drained([5, 4, 1, 5], 50_000)).toEqual([5, 4, 1]);
  });

  test("is read on until it is empty where it is asked to: it may be slow with whatever it has", async () => {
    expect(await drained([7, 1, 60, 0, 5], 10, "empty")).toEqual([7, 1, 60]);
  });

  test("is read until it is empty where it is one of sessions, which come slowly", () => {
    const when = (more: object) =>
      drainedWhen({ broker: "service-bus", topic: "orders", subscription: "s", ...more } as PipelineSettings["source"]);
    expect([when({ sessions: true }), when({}), when({ sessions: true, deadLetterQueue: true })]).toEqual([
      "empty",
      "nearly-empty",
      "nearly-empty",
    ]);
  });

  test("that gives nothing is drained", async () => {
    expect(await drained([])).toEqual([]);
  });
});
