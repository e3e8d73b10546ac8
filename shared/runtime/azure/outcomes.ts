import { errorText } from "../../core/errors.ts";
import type { Message } from "../../core/message.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import { backOffMs } from "../../core/retry.ts";
import type { FunctionProcess } from "../function-process.ts";
import type { Reading } from "./readings.ts";

const BACK_OFF = { firstDelayMs: 500, maxDelayMs: 15_000 } as const;

/** What became of each message; what cannot be handled now, for whatever reason, is released. */
export async function outcomesOf({ handle }: Pick<Reading, "handle">, messages: readonly Message[]): Promise<Outcome[]> {
  try {
    return await handle(messages);
  } catch (error) {
    return messages.map(() => ({ kind: "released", error: error as Error }));
  }
}

/**
 * Handles messages of a trigger that cannot give one back: what is released is handled again, until nothing is. Throws once `budgetMs` are over,
 * so that the platform tries again before it moves its pointer.
 */
export async function handleUntilDone(
  reading: Pick<Reading, "name" | "handle">,
  messages: readonly Message[],
  budgetMs: number,
  { clock, log, meter, runLong }: FunctionProcess,
): Promise<void> {
  const endMs = clock.nowMs() + budgetMs;
  let left = messages;
  for (let attempt = 1; ; attempt++) {
    const outcomes = await outcomesOf(reading, left);
    const released = outcomes.filter((outcome) => outcome.kind === "released");
    if (released.length === 0) return;
    meter.add("persistor.messages.released", released.length);
    left = left.filter((_, i) => outcomes[i]?.kind === "released");
    const delayMs = backOffMs(attempt, BACK_OFF);
    const [{ error }] = released as [Extract<Outcome, { kind: "released" }>];
    log.warn("holding messages that cannot be given back", {
      function: reading.name,
      messages: left.length,
      delayMs,
      error: errorText(error),
    });
    const isStopping = await runLong(async (signal) => {
      await clock.sleep(delayMs, signal);
      return signal.aborted;
    });
    if (isStopping || clock.nowMs() >= endMs) throw error;
  }
}
