import { createBatchCache } from "../batch-cache.ts";
import type { ListenerContext } from "../listener.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { batchInputOf, type HubEvent, inputOf, type PartitionIdentity } from "./input.ts";
import type { EventHubOptions } from "./options.ts";

export interface PartitionProcessor {
  /** Runs the function with events of the partition, in their order, and moves its checkpoint. */
  process(events: readonly HubEvent[]): Promise<void>;
  /** Milliseconds after which `process([])` must be called, because events are held back for a batch. */
  dueInMs(): number | undefined;
}

export interface ProcessorSetup {
  context: ListenerContext;
  options: EventHubOptions;
  checkpoints: Checkpoints;
  partitionId: string;
  stopping: AbortSignal;
  dead: AbortSignal;
}

/**
 * azure-sdk-for-net EventHubListener.PartitionProcessor: the checkpoint moves over events whatever became of them, every
 * `batchCheckpointFrequency` batches; what ends after the listener was told to stop is not checkpointed. Events of a first batch that is
 * smaller than the minimum are handed over at once, later ones after `maxWaitTime`.
 */
export function createPartitionProcessor(setup: ProcessorSetup): PartitionProcessor {
  const { options, checkpoints, partitionId, stopping, dead } = setup;
  const cache = createBatchCache<HubEvent>(options.minBatchSize, options.maxBatchSize);
  let heldSinceMs: number | undefined;
  let hasRun = false;
  let batches = 0;

  const checkpoint = async (last: HubEvent) => {
    if (batches < options.batchCheckpointFrequency || stopping.aborted || dead.aborted) return;
    await checkpoints.write(partitionId, last.offset, Number(last.sequenceNumber));
    batches = 0;
  };
  const run = async (events: readonly HubEvent[]) => {
    const last = events.at(-1);
    if (!last) return;
    batches++;
    const identity = identityOf(setup, batches >= options.batchCheckpointFrequency);
    if (options.isMany) await runBatch(setup, events, identity);
    else for (const event of events) if (!dead.aborted) await runOne(setup, event, identity);
    hasRun = true;
    await checkpoint(last);
  };
  const dueInMs = () => {
    if (heldSinceMs === undefined) return undefined;
    return hasRun ? Math.max(0, heldSinceMs + options.maxWaitMs - Date.now()) : 0;
  };
  return {
    dueInMs,
    async process(events) {
      if (!options.isMany || options.minBatchSize <= 1) return run(events);
      const batch = cache.add(events);
      const isDue = dueInMs() === 0;
      await run(batch.length === 0 && isDue ? cache.takePartial() : batch);
      if (cache.size === 0) heldSinceMs = undefined;
      else if (batch.length > 0 || heldSinceMs === undefined) heldSinceMs = Date.now();
    },
  };
}

function identityOf({ options, partitionId }: ProcessorSetup, isCheckpointing: boolean): PartitionIdentity {
  return {
    FullyQualifiedNamespace: options.namespace.host,
    EventHubName: options.eventHubName,
    ConsumerGroup: options.consumerGroup,
    PartitionId: partitionId,
    IsCheckpointingAfterInvocation: isCheckpointing,
  };
}

async function runBatch(
  { context, options, dead }: ProcessorSetup,
  events: readonly HubEvent[],
  identity: PartitionIdentity,
): Promise<void> {
  const { fn, binding, worker, executor } = context;
  await executor.execute({
    fn,
    bindingName: binding.name,
    worker,
    input: (capabilities) => batchInputOf(events, options.form, identity, capabilities),
    signal: dead,
  });
}

async function runOne({ context, options, dead }: ProcessorSetup, event: HubEvent, identity: PartitionIdentity): Promise<void> {
  const { fn, binding, worker, executor } = context;
  await executor.execute({ fn, bindingName: binding.name, worker, input: () => inputOf(event, options.form, identity), signal: dead });
}
