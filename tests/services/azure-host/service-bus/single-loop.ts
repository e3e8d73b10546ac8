import type { ListenerContext } from "../listener.ts";
import { registerActions, settleRest } from "./actions.ts";
import type { EntityReceiver } from "./entity-receiver.ts";
import { inputOf } from "./input.ts";
import type { ServiceBusOptions } from "./options.ts";
import type { ReceivedMessage } from "./received.ts";
import { renewWhile } from "./renewal.ts";
import type { Settlement } from "./settlement.ts";

export interface SingleLoopSetup {
  context: ListenerContext;
  options: ServiceBusOptions;
  settlement: Settlement;
  receiver: EntityReceiver;
  stopping: AbortSignal;
  dead: AbortSignal;
}

/**
 * Runs the function with single messages, several at once but one of a session at a time, and renews their locks meanwhile
 * (Azure.Messaging.ServiceBus ServiceBusProcessor and ServiceBusSessionProcessor, as ServiceBusListener sets them up).
 */
export async function runSingleLoop(setup: SingleLoopSetup): Promise<void> {
  const { options, receiver, stopping, context } = setup;
  const limit = receiver.session ? 1 : options.maxConcurrentCalls;
  const running = new Set<Promise<boolean>>();
  let isOpen = true;
  void receiver.closed.then(() => {
    isOpen = false;
  });
  let isReleased = false;
  while (!stopping.aborted && isOpen && !isReleased) {
    if (running.size >= limit) {
      await Promise.race(running);
      continue;
    }
    const messages = await receiver.receive(limit - running.size, options.waitMs, stopping);
    if (messages.length === 0 && receiver.session && running.size === 0) break;
    for (const message of messages) {
      const run = runOne(setup, message).then(
        (released) => {
          isReleased ||= released;
          return released;
        },
        (error: Error) => {
          context.log.write(
            "error",
            "Host.Triggers.ServiceBus",
            `Message processing error (EntityPath=${options.entity}): ${error.message}`,
          );
          return false;
        },
      );
      running.add(run);
      void run.then(() => running.delete(run));
    }
  }
  await Promise.all(running);
}

async function runOne({ context, options, settlement, receiver, dead }: SingleLoopSetup, message: ReceivedMessage): Promise<boolean> {
  const { fn, binding, worker, executor } = context;
  const actions = registerActions(settlement, receiver, [message]);
  const { session } = receiver;
  const stopRenewing = renewWhile({
    untilMs: message.lockedUntilMs ?? Date.now(),
    maxMs: options.maxAutoLockRenewalMs,
    renew: () => (session ? session.renew() : receiver.renewLock(message)),
  });
  const input = () => inputOf(message, options.form);
  const result = await executor.execute({ fn, bindingName: binding.name, worker, input, signal: dead });
  stopRenewing();
  actions.end();
  if (!dead.aborted) await settleRest([message], actions, result.succeeded, options.autoComplete);
  return actions.isReleased();
}
