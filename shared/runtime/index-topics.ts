/** Where an indexer reads an index topic. */
export const INDEXER_SUBSCRIPTION = "persistor-indexer";

interface Writer {
  index?: { topic: string } | undefined;
  deadLetter?: unknown;
}

/** The pipeline that stands for each index topic: one that has a dead-letter topic where there is one, for what cannot be read. */
export function writersByIndexTopic<P extends Writer>(
  pipelines: Iterable<readonly [name: string, P]>,
): Map<string, { name: string; pipeline: P }> {
  const byTopic = new Map<string, { name: string; pipeline: P }>();
  for (const [name, pipeline] of pipelines) {
    if (!pipeline.index) continue;
    const known = byTopic.get(pipeline.index.topic)?.pipeline;
    if (!known || (!known.deadLetter && pipeline.deadLetter)) byTopic.set(pipeline.index.topic, { name, pipeline });
  }
  return byTopic;
}
