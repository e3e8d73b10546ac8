import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import type { Publisher } from "../../shared/core/ports/publisher.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { compose, type PortWrappers } from "../../shared/runtime/compose.ts";
import { freeAbandoned } from "../../shared/runtime/local/abandoned.ts";
import { startFunctions } from "../../shared/runtime/local/functions.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";

// A host without HTTP that kills itself, as `kill -9` does, at the n-th time it comes to a named step.
// It ends by itself once nothing is left to do, and then says `drained`.

export type KillStep = "before put" | "after put" | "after hand-over" | "before settle" | "mid-publish" | "mid-job" | "never";

interface Plan {
  step: KillStep;
  /** Times that the step is passed unharmed. */
  spared: number;
  /** Topics whose publishes count as the hand-over to the index. */
  indexTopic: string;
}

const plan = JSON.parse(process.argv[2] as string) as Plan;
let spared = plan.spared;

function reach(step: KillStep): void {
  if (step !== plan.step || spared-- > 0) return;
  process.kill(process.pid, "SIGKILL");
  // Nothing runs behind it: the signal is delivered before this thread goes on, the loop makes sure.
  for (;;);
}

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

const wrap: PortWrappers = {
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

const composition = await compose(readSettings(process.env), { clock: systemClock, log: NO_LOG, meter: NO_METER, wrap });
const broker = await composition.embedded();
await freeAbandoned(composition);
const functions = await startFunctions(composition);
for (;;) {
  const topics = await broker.topics();
  const backlog = topics.flatMap(({ subscriptions }) => subscriptions).reduce((sum, one) => sum + one.backlog, 0);
  const open = await composition.jobs.list({ states: ["planning", "running", "cancelling"], limit: 1 });
  if (backlog === 0 && open.length === 0) break;
  await systemClock.sleep(20);
}
await functions.stop();
await composition.close();
process.stdout.write("drained\n");
