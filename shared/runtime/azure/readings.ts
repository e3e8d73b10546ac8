import { pushingSources, type SourceSettings } from "../../adapters/registry.ts";
import type { Message } from "../../core/message.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import type { FunctionProcess } from "../function-process.ts";
import { persistCommits } from "../persist-commits.ts";
import { brokerIdOf } from "../ports.ts";
import { type SourceKind, wholeSourceSettings } from "../settings/pipelines.ts";
import { functionName } from "./function-name.ts";

/** Something that a function reads, and who handles what it delivers. */
export interface Reading extends SourceSettings {
  /** Name of the function. */
  name: string;
  broker: SourceKind;
  /** Each message means long work: where the trigger can, it is handed over by itself, and waits for no other. */
  isLongWork?: boolean;
  /** Returns what became of each message, by position; never throws for a single message's sake. */
  handle(messages: readonly Message[]): Promise<Outcome[]>;
}

/** An object of one pipeline is written while the next gathers: more at a time would only make them smaller. */
const FLUSHES_IN_FLIGHT = 1;
/** A partition, a session or a queue hands over its next batch as soon as its last is done: well within this. */
const RETURN_MS = 50;

/** What the pipelines read. */
export function persistReadings(process: FunctionProcess): Reading[] {
  const pushed = persistCommits(process, { flushesInFlight: FLUSHES_IN_FLIGHT });
  const taken = persistCommits(process, { flushesInFlight: FLUSHES_IN_FLIGHT, returnMs: RETURN_MS });
  return Object.entries(process.settings.pipelines).map(([pipeline, { source }]) => ({
    name: functionName("persist", pipeline),
    broker: source.broker,
    id: brokerIdOf(source),
    topic: source.topic,
    subscription: source.subscription,
    own: wholeSourceSettings(source.broker, source),
    handle: async (messages) => (await (source.broker in pushingSources ? pushed : taken)(pipeline)).submit(messages),
  }));
}
