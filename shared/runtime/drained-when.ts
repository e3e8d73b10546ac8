import { isReadBySession } from "../adapters/brokers/service-bus/settings.ts";
import type { DrainedWhen } from "./pull.ts";
import { ownSourceSettings, type PipelineSettings } from "./settings/pipelines.ts";

/** When a source counts as drained: one of sessions may be long in accepting those that hold few messages each. */
export function drainedWhen(source: PipelineSettings["source"] | undefined): DrainedWhen {
  return source !== undefined && isReadBySession(ownSourceSettings(source.broker, source)) ? "empty" : "nearly-empty";
}
