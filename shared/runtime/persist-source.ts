import { type Outcome, persist } from "../core/persist/persist.ts";
import type { Pipeline } from "../core/pipeline.ts";
import type { Delivery, Source } from "../core/ports/source.ts";
import { invocation } from "./invocation.ts";
import type { Ports } from "./ports.ts";
import { type DrainedWhen, pull } from "./pull.ts";
import { settle } from "./settle.ts";

export interface PersistSourceOptions {
  /** Ends the pulling; what is under way is stored and settled. */
  signal: AbortSignal;
  /** Default: the pipeline's. */
  maxWaitMs?: number;
  /** As for `pull`. */
  until?: DrainedWhen;
}

/** What became of the messages that were pulled. */
export type PersistCounts = Record<Outcome["kind"], number> & { batches: number };

/** One is written while the next is encoded. */
const BATCHES_IN_FLIGHT = 2;
const BATCH_LIMIT_MS = 60_000;

/** Persists what a source delivers, batch by batch, and settles it. Returns what became of it all; throws where it is drained and the source fails. */
export async function persistSource(
  pipeline: Pipeline,
  source: Source,
  ports: Pick<Ports, "settings" | "clock" | "log" | "meter" | "sources">,
  options: PersistSourceOptions,
): Promise<PersistCounts> {
  const { clock, log, meter, settings } = ports;
  const { signal, until } = options;
  const { maxMessages, maxBytes } = pipeline.batch;
  const maxWaitMs = options.maxWaitMs ?? settings.pipelines[pipeline.name]?.batch.maxWaitMs ?? 0;
  const counts: PersistCounts = { batches: 0, stored: 0, "dead-lettered": 0, released: 0 };
  const handle = invocation(
    "persist",
    async (deliveries: readonly Delivery[], run) => {
      const messages = deliveries.map(({ message }) => message);
      const outcomes = await persist(pipeline, messages, { clock, meter, log: run.log, signal: run.signal });
      counts.batches++;
      for (const { kind } of outcomes) counts[kind]++;
      await settle(source, deliveries, outcomes, meter);
    },
    { limitMs: BATCH_LIMIT_MS, log, metrics: meter },
  );
  const receive = { maxMessages, maxBytes, maxWaitMs };
  await pull({
    source,
    receive,
    handle: (deliveries) => handle(deliveries, { signal }),
    batchesInFlight: BATCHES_IN_FLIGHT,
    clock,
    log,
    state: ports.sources.of(pipeline.name),
    meter,
    signal,
    until,
  });
  return counts;
}
