import { open } from "../../../shared/adapters/brokers/kafka/adapter.ts";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import type { Measure } from "../../lib/child.ts";
import { inLanes } from "../../lib/timing.ts";
import { outgoingAt } from "./messages.ts";

export interface FillOrder {
  host: string;
  topic: string;
  count: number;
}

const MESSAGES_PER_CALL = 2_500;
const CALLS_IN_FLIGHT = 3;

/** Publishes flights. */
export const measure: Measure<FillOrder, null> = async ({ host, topic, count }) => {
  const { publisher } = await open({ brokers: [host] }, { dataDir: "", log: NO_LOG });
  await inLanes(CALLS_IN_FLIGHT, Math.ceil(count / MESSAGES_PER_CALL), async (call) => {
    const first = call * MESSAGES_PER_CALL;
    const messages = Array.from({ length: Math.min(MESSAGES_PER_CALL, count - first) }, (_, i) => outgoingAt(first + i));
    for (const outcome of await publisher.publish(topic, messages)) if (!outcome.ok) throw outcome.error;
  });
  await publisher.close();
  return null;
};
