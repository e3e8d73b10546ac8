import { persist } from "../../shared/core/persist/persist.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import type { Composition } from "../../shared/runtime/compose.ts";
import { invocation } from "../../shared/runtime/invocation.ts";
import { pullUntilAborted } from "../../shared/runtime/pull.ts";
import { settle } from "../../shared/runtime/settle.ts";

const BATCHES_IN_FLIGHT = 2;
const LIMIT_MS = 60_000;

/** Persists what arrives for one pipeline at the embedded broker, until `signal` aborts. */
export async function persistLocally(pipeline: Pipeline, source: Source, composition: Composition, signal: AbortSignal): Promise<void> {
  const { clock, log, meter, settings } = composition;
  const { maxMessages, maxBytes, maxWaitMs = 0 } = { ...pipeline.batch, ...settings.pipelines[pipeline.name]?.batch };
  const handle = invocation(
    "persist",
    async (deliveries: readonly Delivery[], run) => {
      const messages = deliveries.map(({ message }) => message);
      await settle(source, deliveries, await persist(pipeline, messages, { clock, meter, log: run.log, signal: run.signal }), meter);
    },
    { limitMs: LIMIT_MS, log, metrics: meter },
  );
  const receive = { maxMessages, maxBytes, maxWaitMs };
  const start = { signal };
  await pullUntilAborted({
    source,
    receive,
    handle: (deliveries) => handle(deliveries, start),
    batchesInFlight: BATCHES_IN_FLIGHT,
    clock,
    log,
    meter,
    signal,
  });
  await source.close();
}
