import { indexLocally } from "../../../functions/index/local.ts";
import { persistLocally } from "../../../functions/persist/local.ts";
import type { Composition } from "../compose.ts";
import { writersByIndexTopic } from "../index-topics.ts";
import { type JobRunner, jobRunner } from "../jobs/runner.ts";

/** The functions that run without being called: triggers and open jobs. */
export interface LocalFunctions {
  runner: JobRunner;
  /** Lets every batch under way end and settles it; what is left comes again at the next start. */
  stop(): Promise<void>;
}

const INDEXER_SUBSCRIPTION = "persistor-indexer";

/** Starts a persist trigger for each pipeline, an indexer for each index topic, and the job runner. Throws BrokerError. */
export async function startFunctions(composition: Composition): Promise<LocalFunctions> {
  const broker = await composition.embedded();
  const pipelines = [...composition.pipelines.values()];
  for (const { topic } of pipelines) await broker.createTopic(topic, { retained: false });
  // A dead-letter topic or an index topic keeps what comes before its reader is there.
  const indexTopics = writersByIndexTopic(composition.pipelines);
  for (const topic of indexTopics.keys()) await broker.createTopic(topic, { retained: false });

  const persisting = new AbortController();
  const indexing = new AbortController();
  const indexSources = await Promise.all(
    [...indexTopics].map(async ([topic, { pipeline }]) => ({
      pipeline,
      source: await composition.openTopic(broker, { id: topic, topic, subscription: INDEXER_SUBSCRIPTION }),
    })),
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
