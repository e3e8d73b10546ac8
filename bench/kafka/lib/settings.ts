import { FLIGHTS } from "../../lib/flights.ts";

/** From a topic of Kafka into files; goes to other processes as JSON. */
export interface FlightsOrder {
  host: string;
  topic: string;
  /** Consumer group. */
  group: string;
  dataDir: string;
}

/** Name of the destination at Kafka. */
export const REPLAY = "replay";

/** The environment of a program with one pipeline, `flights`, and where it is indexed a destination, whose topic is `replayTopic`. */
export function environmentOf({ host, topic, group, dataDir }: FlightsOrder, isIndexed: boolean, replayTopic = REPLAY) {
  const pipeline = {
    source: { broker: "kafka", topic, subscription: group, id: FLIGHTS },
    store: { kind: "fs" },
    ...(isIndexed && { index: { collection: FLIGHTS } }),
  };
  return {
    PERSISTOR_DATA_DIR: dataDir,
    PERSISTOR_KAFKA: JSON.stringify({ brokers: [host] }),
    PERSISTOR_PIPELINES: JSON.stringify({ [FLIGHTS]: pipeline }),
    PERSISTOR_DESTINATIONS: JSON.stringify({ [REPLAY]: { broker: "kafka", topic: replayTopic } }),
  };
}
