import { indexLocally } from "../../../functions/index/local.ts";
import { persistLocally } from "../../../functions/persist/local.ts";
import type { Pipeline } from "../../core/pipeline.ts";
import type { Composition } from "../compose.ts";
import { INDEXER_SUBSCRIPTION, writersByIndexTopic } from "../index-topics.ts";
import { type JobRunner, jobRunner } from "../jobs/runner.ts";
import type { BrokerName } from "../ports.ts";

/** The functions that run without being called: triggers and open jobs. */
export interface LocalFunctions {
  runner: JobRunner;
  /** Lets every batch under way end and settles it; what is left comes again at the next start. */
  stop(): Promise<void>;
}

/** Starts a persist trigger for each pipeline, an indexer for each index topic, and the job runner. Throws BrokerError. */
export async function startFunctions(composition: Composition): Promise<LocalFunctions> {
  const embedded = await composition.embedded();
  const pipelines = [...composition.pipelines.values()];
  const all = Object.entries(composition.settings.pipelines);
  // A dead-letter topic or an index topic keeps what comes before its reader is there.
  const topics = all.flatMap(([, { source, index }]) => (index ? [source, index] : [source]));
  for (const { broker, topic } of topics) if (broker === "embedded") await embedded.createTopic(topic, { retained: false });

  const persisting = new AbortController();
  const indexing = new AbortController();
  const indexSources = await Promise.all(
    [...Map.groupBy(all, ([, { index }]) => index?.broker)].flatMap(([broker, writers]) =>
      [...writersByIndexTopic(writers)].map(async ([topic, { name }]) => ({
        pipeline: composition.pipelines.get(name) as Pipeline,
        source: await composition.openTopic(await composition.broker(broker as BrokerName), {
          id: topic,
          topic,
          subscription: INDEXER_SUBSCRIPTION,
        }),
      })),
    ),
  );
  const indexers = indexSources.map(({ pipeline, source }) => indexLocally(pipeline, source, composition, indexing.signal));
  const sources = await Promise.all(pipelines.map(async (pipeline) => ({ pipeline, source: await composition.openSource(pipeline.name) })));
  const triggers = sources.map(({ pipeline, source }) => persistLocally(pipeline, source, composition, persisting.signal));
  const runner = jobRunner(composition);
  const sweeping = runner.run();
  return {
    runner,
    async stop() {
      persisting.abort();
      await Promise.all([...triggers, runner.stop(), sweeping]);
      indexing.abort();
      await Promise.all(indexers);
    },
  };
}
