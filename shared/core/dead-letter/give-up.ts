import type { Clock } from "../clock.ts";
import { digestOf } from "../digest.ts";
import { errorText } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Outcome } from "../persist/persist.ts";
import type { Pipeline } from "../pipeline.ts";
import type { Log } from "../ports/log.ts";
import type { Meter } from "../ports/meter.ts";
import { type DeadLetterCategory, deadLetter } from "./dead-letter.ts";

export interface GiveUpDeps {
  clock: Clock;
  log: Log;
  meter: Meter;
}

/** Dead-letters one message that can never be handled; one that cannot be dead-lettered is released. Never throws. */
export async function giveUp(
  message: Message,
  category: DeadLetterCategory,
  reason: string,
  pipelineOf: () => Promise<Pipeline>,
  { clock, log, meter }: GiveUpDeps,
): Promise<Outcome> {
  try {
    const pipeline = await pipelineOf();
    const record = { message, digest: digestOf(message), ingestionTimeUs: clock.nowMs() * 1000, pipeline: pipeline.name };
    const [error] = await deadLetter(pipeline, [{ record, category, reason }]);
    log.warn("giving up a message", { pipeline: pipeline.name, category, reason, error: error && errorText(error) });
    if (error) return { kind: "released", error };
    meter.add("persistor.dead_letters", 1, { pipeline: pipeline.name, category });
    return { kind: "dead-lettered", category };
  } catch (error) {
    return { kind: "released", error: error as Error };
  }
}
