import { indexMessages } from "../../shared/core/index/index-messages.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import type { Composition } from "../../shared/runtime/compose.ts";
import { indexCommits } from "../../shared/runtime/index-commits.ts";
import { invocation } from "../../shared/runtime/invocation.ts";
import { pull } from "../../shared/runtime/pull.ts";
import { settle } from "../../shared/runtime/settle.ts";

const COMMIT = { maxItems: 10_000, maxBytes: 16_000_000, maxInFlight: 2, maxHeldItems: 100_000 } as const;
const RECEIVE = { maxMessages: 16, maxBytes: 16_000_000, maxWaitMs: 100 } as const;
const BATCHES_IN_FLIGHT = 3;
const LIMIT_MS = 60_000;

/** Stores the index records that arrive on one index topic of the embedded broker, until `signal` aborts. */
export async function indexLocally(pipeline: Pipeline, source: Source, composition: Composition, signal: AbortSignal): Promise<void> {
  const { clock, log, meter, index, sources } = composition;
  const state = sources.of(`index ${pipeline.index?.topic}`);
  const deps = { index, clock, log, meter, defaultCollection: pipeline.index?.collection ?? "", pipeline: async () => pipeline };
  const maxWaitMs = composition.settings.pipelines[pipeline.name]?.batch.triggerMaxWaitMs ?? 0;
  const commits = indexCommits(composition.collections(), deps, { ...COMMIT, maxWaitMs });
  const handle = invocation(
    "index",
    async (deliveries: readonly Delivery[]) => {
      const messages = deliveries.map(({ message }) => message);
      await settle(source, deliveries, await indexMessages(messages, { ...deps, commitsOf: (name) => commits.get(name) }), meter);
    },
    { limitMs: LIMIT_MS, log, metrics: meter },
  );
  await pull({ source, receive: RECEIVE, handle, batchesInFlight: BATCHES_IN_FLIGHT, clock, log, state, meter, signal });
  await source.close();
}
