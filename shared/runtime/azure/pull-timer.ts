import { app } from "@azure/functions";
import { drainedWhen } from "../drained-when.ts";
import type { FunctionProcess } from "../function-process.ts";
import { invocation } from "../invocation.ts";
import { persistSource } from "../persist-source.ts";
import { wholeSourceSettings } from "../settings/pipelines.ts";
import { functionName } from "./function-name.ts";
import { isDrained } from "./register.ts";

/** A batch that is not full after this time ends the drain. */
const BATCH_WAIT_MS = 2_000;
/** What is under way when the time is over is still stored and settled. */
const GRACE_MS = 60_000;

/** Registers a timer for each source that is drained: in large batches, with the broker's own client, until it is empty or the time is over. */
export function registerPulls(process: FunctionProcess): void {
  for (const [name, { source }] of Object.entries(process.settings.pipelines)) {
    if (isDrained({ broker: source.broker, own: wholeSourceSettings(source.broker, source) })) registerPull(process, name);
  }
}

function registerPull(process: FunctionProcess, pipeline: string): void {
  const { settings, log, meter } = process;
  const budgetMs = settings.pullSeconds * 1000;
  const drain = invocation("persist-pull", (_: unknown, { signal }) => drained(process, pipeline, budgetMs, signal), {
    limitMs: budgetMs + GRACE_MS,
    log,
    metrics: meter,
  });
  app.timer(functionName("persist", pipeline), {
    schedule: settings.pullSchedule,
    handler: async (_timer, { invocationId }): Promise<void> => {
      await process.runLong((stopping) => drain(undefined, { id: invocationId, signal: stopping }));
    },
  });
}

async function drained(process: FunctionProcess, name: string, budgetMs: number, stopping: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(budgetMs)]);
  const pipeline = await process.pipeline(name);
  const source = await process.openSource(name);
  try {
    const until = drainedWhen(process.settings.pipelines[name]?.source);
    const { batches, ...counts } = await persistSource(pipeline, source, process, { signal, maxWaitMs: BATCH_WAIT_MS, until });
    if (batches > 0) process.log.info("drained a source", { pipeline: name, batches, ...counts, isDrained: !signal.aborted });
  } finally {
    await source.close();
  }
}
