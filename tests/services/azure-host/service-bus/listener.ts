import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type AmqpConnection, connect } from "../amqp/connection.ts";
import type { Listener, ListenerContext } from "../listener.ts";
import { runBatchLoop } from "./batch-loop.ts";
import { type EntityReceiver, openEntityReceiver } from "./entity-receiver.ts";
import { type ServiceBusOptions, serviceBusOptions } from "./options.ts";
import type { Settlement } from "./settlement.ts";
import { runSingleLoop } from "./single-loop.ts";

const RECONNECT_PAUSE_MS = 500;
const LOG = "Host.Triggers.ServiceBus";

interface Setup {
  context: ListenerContext;
  options: ServiceBusOptions;
  settlement: Settlement;
  stopping: AbortSignal;
  dead: AbortSignal;
}

/** Runs a function with the messages of a queue or a subscription, over a connection of its own that is opened anew whenever it ends. */
export function startServiceBusListener(context: ListenerContext, settlement: Settlement): Listener {
  const options = serviceBusOptions(context.binding, context.settings, context.hostJson, availableParallelism());
  const stopping = new AbortController();
  const dead = new AbortController();
  const setup = { context, options, settlement, stopping: stopping.signal, dead: dead.signal };
  const isSerial = options.isMany || !options.hasSessions;
  const loops = Array.from({ length: isSerial ? 1 : options.maxConcurrentSessions }, () => keepRunning(setup));
  return {
    async stop(how) {
      stopping.abort();
      if (how === "abort") dead.abort();
      await Promise.all(loops);
    },
  };
}

async function keepRunning(setup: Setup): Promise<void> {
  const { context, options, stopping } = setup;
  while (!stopping.aborted) {
    try {
      await runConnection(setup);
    } catch (error) {
      const where = `(EntityPath=${options.entity}, Endpoint=${options.namespace.host})`;
      context.log.write("error", LOG, `Message processing error ${where}: ${(error as Error).message}`);
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

/** Returns when the connection has ended, or the listener stops. Throws where the broker refuses something. */
async function runConnection(setup: Setup): Promise<void> {
  const { options, stopping, dead } = setup;
  const connection = await connect(options.namespace);
  dead.addEventListener("abort", () => connection.break());
  let isOpen = true;
  void connection.closed.then(() => {
    isOpen = false;
  });
  try {
    while (isOpen && !stopping.aborted) await runLink(setup, connection);
  } finally {
    connection.close();
  }
}

async function runLink(setup: Setup, connection: AmqpConnection): Promise<void> {
  const { options } = setup;
  const receiver = await acceptReceiver(setup, connection);
  if (!receiver) return;
  try {
    const loop = options.isMany ? runBatchLoop : runSingleLoop;
    await loop({ ...setup, receiver });
  } finally {
    receiver.close();
  }
}

/** Undefined where no session came free in time. */
async function acceptReceiver({ options, stopping, dead }: Setup, connection: AmqpConnection): Promise<EntityReceiver | undefined> {
  const { entity, prefetchCount, hasSessions, waitMs } = options;
  const opening = openEntityReceiver({ connection, entity, prefetchCount, isSession: hasSessions, waitMs });
  const stopped = new Promise<undefined>((resolve) => {
    for (const signal of [stopping, dead]) signal.addEventListener("abort", () => resolve(undefined));
    if (stopping.aborted) resolve(undefined);
  });
  opening.then((receiver) => stopping.aborted && receiver.close()).catch(() => {});
  try {
    return await Promise.race([opening, stopped]);
  } catch (error) {
    if ((error as { condition?: string }).condition === "com.microsoft:timeout") return undefined;
    throw error;
  }
}
