import { persist } from "../../shared/core/persist/persist.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import type { Composition } from "../../shared/runtime/compose.ts";
import { pullUntilAborted } from "../../shared/runtime/pull.ts";
import { settle } from "../../shared/runtime/settle.ts";

const BATCHES_IN_FLIGHT = 2;

/** Persists what arrives for one pipeline at the embedded broker, until `signal` aborts. */
export async function persistLocally(pipeline: Pipeline, source: Source, composition: Composition, signal: AbortSignal): Promise<void> {
  const { clock, log, meter, settings } = composition;
  const { maxMessages, maxBytes, maxWaitMs } = settings.pipelines[pipeline.name]?.batch ?? { ...pipeline.batch, maxWaitMs: 1_000 };
  const handle = async (deliveries: Parameters<typeof settle>[1]) => {
    const labels = { pipeline: pipeline.name };
    meter.add("messaging.client.consumed.messages", deliveries.length, labels);
    const outcomes = await persist(
      pipeline,
      deliveries.map(({ message }) => message),
      { clock, log, meter, signal },
    );
    await settle(source, deliveries, outcomes);
  };
  await pullUntilAborted({
    source,
    receive: { maxMessages, maxBytes, maxWaitMs },
    handle,
    batchesInFlight: BATCHES_IN_FLIGHT,
    clock,
    log,
    signal,
  });
  await source.close();
}
