import type { Publisher } from "../../shared/core/ports/publisher.ts";
import type { PortWrappers } from "../../shared/runtime/ports.ts";

/** Where a process kills itself, as `kill -9` does. */
export type KillStep =
  | "before put"
  | "after put"
  | "after hand-over"
  | "before settle"
  | "after upsert"
  | "mid-publish"
  | "mid-job"
  | "never";

export interface KillPlan {
  step: KillStep;
  /** Times that the step is passed unharmed. */
  spared: number;
  /** Topics whose publishes count as the hand-over to the index. */
  indexTopic: string;
}

/** Ports that kill this process when it comes to the step of the plan. */
export function killingPorts(plan: KillPlan): Required<PortWrappers> {
  let { spared } = plan;
  const reach = (step: KillStep): void => {
    if (step !== plan.step || spared-- > 0) return;
    process.kill(process.pid, "SIGKILL");
    // Nothing runs behind it: the signal is delivered before this thread goes on, the loop makes sure.
    for (;;);
  };
  const publisherThatDies = (publisher: Publisher): Publisher => ({
    ...publisher,
    limits: publisher.limits,
    cannotCarry: (content) => publisher.cannotCarry(content),
    close: () => publisher.close(),
    async publish(topic, messages) {
      if (topic === plan.indexTopic) {
        const outcomes = await publisher.publish(topic, messages);
        reach("after hand-over");
        return outcomes;
      }
      if (plan.step !== "mid-publish") return publisher.publish(topic, messages);
      const half = Math.ceil(messages.length / 2);
      const first = await publisher.publish(topic, messages.slice(0, half));
      reach("mid-publish");
      return [...first, ...(half < messages.length ? await publisher.publish(topic, messages.slice(half)) : [])];
    },
  });
  return {
    store: (store) => ({
      limits: store.limits,
      get: (key, range) => store.get(key, range),
      list: (prefix, after) => store.list(prefix, after),
      close: () => store.close(),
      async put(key, bytes, options) {
        reach("before put");
        const result = await store.put(key, bytes, options);
        reach("after put");
        return result;
      },
    }),
    publisher: publisherThatDies,
    source: (source) => ({
      receive: (options) => source.receive(options),
      acknowledge(deliveries) {
        reach("before settle");
        return source.acknowledge(deliveries);
      },
      release: (deliveries, delayMs) => source.release(deliveries, delayMs),
      extend: (deliveries, leaseMs) => source.extend(deliveries, leaseMs),
      close: () => source.close(),
    }),
    index: (index) => ({
      ...index,
      async upsert(collection, records) {
        const result = await index.upsert(collection, records);
        reach("after upsert");
        return result;
      },
    }),
    items: (items) => ({
      lease: (options) => items.lease(options),
      summarize: (id) => items.summarize(id),
      list: (id, query) => items.list(id, query),
      update(item, update) {
        if (update.state === "done") reach("mid-job");
        return items.update(item, update);
      },
    }),
  };
}
