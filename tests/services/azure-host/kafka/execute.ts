import type { ListenerContext } from "../listener.ts";
import type { Commits } from "./commits.ts";
import { batchInputOf, inputOf, type KafkaRecord } from "./input.ts";
import type { KafkaOptions } from "./options.ts";

export interface ExecuteSetup {
  context: ListenerContext;
  options: KafkaOptions;
  commits: Commits;
  /** Aborted: nothing runs any more, and nothing is stored. */
  dead: AbortSignal;
}

/** Runs the function with records; each is committed in the end, whatever became of it (MultipleItemFunctionExecutor, SingleItemFunctionExecutor). */
export async function executeRecords(setup: ExecuteSetup, records: readonly KafkaRecord[]): Promise<void> {
  if (setup.options.isMany) return executeUntilDone(setup, records);
  const byPartition = Map.groupBy(records, ({ partition }) => partition);
  await Promise.all(
    [...byPartition.values()].map(async (ofPartition) => {
      for (const record of ofPartition) await executeUntilDone(setup, [record]);
    }),
  );
}

/** With `commitOnFailure` once; without it again and again in place, until it succeeds or `maxRetries` are used up. */
async function executeUntilDone(setup: ExecuteSetup, records: readonly KafkaRecord[]): Promise<void> {
  const { options, context, commits, dead } = setup;
  for (let failures = 0; !dead.aborted; ) {
    const succeeded = await execute(setup, records);
    if (dead.aborted) return;
    failures += succeeded ? 0 : 1;
    const isGivenUp = options.maxRetries >= 0 && failures > options.maxRetries;
    if (succeeded || options.commitOnFailure || isGivenUp) {
      if (!succeeded && !options.commitOnFailure) {
        const what = `${records.length} items of '${options.topic}' failed after ${options.maxRetries} retries. They will be skipped.`;
        context.log.write("error", "Host.Triggers.Kafka", what);
      }
      commits.store(records);
      return;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function execute({ context, options, dead }: ExecuteSetup, records: readonly KafkaRecord[]): Promise<boolean> {
  const { fn, binding, worker, executor } = context;
  const { succeeded } = await executor.execute({
    fn,
    bindingName: binding.name,
    worker,
    input: (capabilities) =>
      options.isMany ? batchInputOf(records, options.form, capabilities) : inputOf(records[0] as KafkaRecord, options.form),
    signal: dead,
  });
  return succeeded;
}
