import { indexMessages } from "../../core/index/index-messages.ts";
import type { FunctionProcess } from "../function-process.ts";
import { indexCommits } from "../index-commits.ts";
import { INDEXER_SUBSCRIPTION, writersByIndexTopic } from "../index-topics.ts";
import { openedOnce } from "../opened-once.ts";
import type { BrokerName } from "../ports.ts";
import { topicFunctionName } from "./function-name.ts";
import type { Reading } from "./readings.ts";

const COMMIT = { maxItems: 4_000, maxBytes: 16_000_000, maxWaitMs: 100, quietMs: 10, maxInFlight: 4, maxHeldItems: 50_000 } as const;

/** What the indexer reads: the index topics of all pipelines. */
export function indexReadings(process: FunctionProcess): Reading[] {
  const { clock, log, meter, settings } = process;
  const open = openedOnce(async () => {
    const commits = indexCommits(process.collections(), { index: await process.index(), clock, log, meter }, COMMIT);
    process.beforeClose(() => Promise.all([...commits.values()].map((commit) => commit.close())));
    return commits;
  });
  const byBroker = Map.groupBy(
    Object.entries(settings.pipelines).filter(([, { index }]) => index),
    ([, { index }]) => index?.broker as BrokerName,
  );
  return [...byBroker].flatMap(([broker, writers]) =>
    [...writersByIndexTopic(writers)].map(
      ([topic, { name: writer, pipeline }]): Reading => ({
        name: topicFunctionName("index", `${broker}-${topic}`),
        broker,
        id: topic,
        topic,
        subscription: INDEXER_SUBSCRIPTION,
        async handle(messages) {
          const commits = await open();
          return indexMessages(messages, {
            clock,
            log,
            meter,
            pipeline: () => process.pipeline(writer),
            defaultCollection: pipeline.index?.collection ?? "",
            commitsOf: (name) => commits.get(name),
          });
        },
      }),
    ),
  );
}
