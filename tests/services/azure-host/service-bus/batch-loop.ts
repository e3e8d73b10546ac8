import { setTimeout as sleep } from "node:timers/promises";
import { createBatchCache } from "../batch-cache.ts";
import type { ListenerContext } from "../listener.ts";
import { registerActions, settleRest } from "./actions.ts";
import type { EntityReceiver } from "./entity-receiver.ts";
import { batchInputOf } from "./input.ts";
import type { ServiceBusOptions } from "./options.ts";
import type { ReceivedMessage } from "./received.ts";
import type { Settlement } from "./settlement.ts";

export interface BatchLoopSetup {
  context: ListenerContext;
  options: ServiceBusOptions;
  settlement: Settlement;
  receiver: EntityReceiver;
  /** Aborted: receives nothing more; what is held is still handed over. */
  stopping: AbortSignal;
  /** Aborted: settles nothing any more. */
  dead: AbortSignal;
}

/**
 * Receives batch after batch, and runs the function with one at a time; no lock of theirs is renewed (azure-sdk-for-net ServiceBusListener,
 * RunBatchReceiveLoopAsync and MonitorCache). Ends when stopped, when the link ends, and with a session when it has nothing more or is
 * given back.
 */
export async function runBatchLoop(setup: BatchLoopSetup): Promise<void> {
  const { options, receiver, stopping, dead } = setup;
  const cache = createBatchCache<ReceivedMessage>(options.minBatchSize, options.maxBatchSize);
  const run = exclusive((messages: ReceivedMessage[]) => runBatch(setup, messages));
  let monitor: AbortController | undefined;
  const startMonitor = () => {
    monitor = new AbortController();
    const { signal } = monitor;
    sleep(options.maxBatchWaitMs, undefined, { signal }).then(
      () => {
        monitor = undefined;
        return run(cache.takePartial());
      },
      () => {},
    );
  };
  const stopMonitor = () => {
    monitor?.abort();
    monitor = undefined;
  };
  let isLinkOpen = true;
  void receiver.closed.then(() => {
    isLinkOpen = false;
  });
  let isReleased = false;
  while (!stopping.aborted && isLinkOpen && !isReleased) {
    const messages = await receiver.receive(options.maxBatchSize, options.waitMs, stopping);
    if (messages.length === 0) {
      if (receiver.session) break;
      continue;
    }
    const batch = options.minBatchSize > 1 ? cache.add(messages) : messages;
    if (batch.length > 0) {
      stopMonitor();
      isReleased = await run(batch);
    }
    if (cache.size > 0 && !monitor) startMonitor();
  }
  stopMonitor();
  if (!dead.aborted && isLinkOpen) await run(cache.takePartial());
}

/** Returns whether the loop ends: the function gave its session back, or the broker refused a settlement in one. */
async function runBatch({ context, options, settlement, receiver, dead }: BatchLoopSetup, messages: ReceivedMessage[]): Promise<boolean> {
  if (messages.length === 0) return false;
  const actions = registerActions(settlement, receiver, messages);
  const { fn, binding, worker, executor } = context;
  const result = await executor.execute({
    fn,
    bindingName: binding.name,
    worker,
    input: (capabilities) => batchInputOf(messages, options.form, capabilities),
    signal: dead,
  });
  actions.end();
  if (dead.aborted) return true;
  try {
    await settleRest(messages, actions, result.succeeded, options.autoComplete);
  } catch (error) {
    const what = "An unhandled exception occurred in the message batch receive loop";
    context.log.write("error", "Host.Triggers.ServiceBus", `${what} (EntityPath=${options.entity}): ${(error as Error).message}`);
    return receiver.session !== undefined;
  }
  return actions.isReleased();
}

/** One call after the other; a call that fails keeps none behind it back. */
function exclusive<A, R>(work: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  let last: Promise<unknown> = Promise.resolve();
  return (argument) => {
    const result = last.catch(() => {}).then(() => work(argument));
    last = result;
    return result;
  };
}
