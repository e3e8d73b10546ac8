import type { DrainedWhen } from "./pull.ts";
import type { PipelineSettings } from "./settings/pipelines.ts";

/** When a source counts as drained: one of sessions may be long in accepting those that hold few messages each. */
export function drainedWhen(source: PipelineSettings["source"] | undefined): DrainedWhen {
  const { sessions = false, deadLetterQueue = false } = (source ?? {}) as { sessions?: boolean; deadLetterQueue?: boolean };
  return sessions && !deadLetterQueue ? "empty" : "nearly-empty";
}
