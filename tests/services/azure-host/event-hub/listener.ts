import { setTimeout as sleep } from "node:timers/promises";
import rhea, { type Typed } from "rhea";
import { type AmqpConnection, connect } from "../amqp/connection.ts";
import { createInbox } from "../amqp/inbox.ts";
import { openRawReceiver } from "../amqp/raw-receiver.ts";
import type { Listener, ListenerContext } from "../listener.ts";
import { type Checkpoints, openCheckpoints } from "./checkpoints.ts";
import { type HubEvent, hubEvent } from "./input.ts";
import { type EventHubOptions, eventHubOptions, selectorAfter } from "./options.ts";
import { createPartitionProcessor, type PartitionProcessor } from "./partition-loop.ts";

const RECONNECT_PAUSE_MS = 500;
const LOG = "Host.Triggers.EventHubs";
const SELECTOR = "apache.org:selector-filter:string";
const SELECTOR_CODE = 0x468c_0000_0004;
const EPOCH = "com.microsoft:epoch";
/** EventProcessorOptions.MaximumWaitTime. */
const WAIT_MS = 60_000;

interface Setup {
  context: ListenerContext;
  options: EventHubOptions;
  checkpoints: Checkpoints;
  stopping: AbortSignal;
  dead: AbortSignal;
}

/**
 * Runs a function with the events of a hub, each partition for itself. Partitions are shared out among the instances by their numbers; the
 * real trigger balances them by leases. Throws where checkpoints cannot be kept.
 */
export async function startEventHubListener(context: ListenerContext, stateDir: string | undefined): Promise<Listener> {
  const { binding, settings, hostJson } = context;
  const options = eventHubOptions(binding, settings, hostJson);
  const { namespace, eventHubName, consumerGroup } = options;
  const checkpoints = await openCheckpoints(settings.find("AzureWebJobsStorage"), stateDir, {
    fullyQualifiedNamespace: namespace.host,
    eventHubName,
    consumerGroup,
  });
  const stopping = new AbortController();
  const dead = new AbortController();
  const setup = { context, options, checkpoints, stopping: stopping.signal, dead: dead.signal };
  const running = runPartitions(setup);
  return {
    async stop(how) {
      if (how === "abort") dead.abort();
      stopping.abort();
      await running;
    },
  };
}

async function runPartitions(setup: Setup): Promise<void> {
  const { index, count } = setup.context.instance;
  const ids = await retried(setup, () => partitionIds(setup.options));
  const own = (ids ?? []).filter((_, i) => i % count === index);
  await Promise.all(own.map((id) => runPartition(setup, id)));
}

/** Tries again after every failure; undefined where the listener stops before it worked. */
async function retried<T>({ context, options, stopping }: Setup, work: () => Promise<T>): Promise<T | undefined> {
  while (!stopping.aborted) {
    try {
      return await work();
    } catch (error) {
      context.log.write("error", LOG, `EventProcessorHost error (EventHub='${options.eventHubName}'): ${(error as Error).message}`);
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: stopping }).catch(() => {});
    }
  }
  return undefined;
}

async function partitionIds({ namespace, eventHubName }: EventHubOptions): Promise<string[]> {
  const connection = await connect(namespace);
  try {
    await connection.authorize(eventHubName);
    const management = await connection.requester(`${eventHubName}/$management`);
    const { status, description, body } = await management.request(
      { operation: "READ", name: eventHubName, type: "com.microsoft:eventhub" },
      {},
    );
    if (status !== 200) throw new Error(`asking for the partitions of '${eventHubName}': ${status} ${description}`);
    return (body as { partition_ids: string[] }).partition_ids.map(String);
  } finally {
    connection.close();
  }
}

/** Reads on behind what was read last, or behind the checkpoint at first, for as long as the listener runs. */
async function runPartition(setup: Setup, partitionId: string): Promise<void> {
  const { stopping, options, checkpoints } = setup;
  const processor = createPartitionProcessor({ ...setup, partitionId });
  let offset: string | undefined;
  while (!stopping.aborted) {
    await retried(setup, async () => {
      offset ??= await checkpoints.read(partitionId);
      const selector = offset === undefined ? options.initialSelector : selectorAfter(offset);
      await readPartition(setup, partitionId, selector, processor, (event) => {
        offset = event.offset;
      });
    });
  }
}

/** Returns when the link has ended, or the listener stops. */
async function readPartition(
  setup: Setup,
  partitionId: string,
  selector: string,
  processor: PartitionProcessor,
  onRead: (event: HubEvent) => void,
): Promise<void> {
  const { options, stopping, dead } = setup;
  const connection = await connect(options.namespace);
  dead.addEventListener("abort", () => connection.break());
  let isOpen = true;
  void connection.closed.then(() => {
    isOpen = false;
  });
  try {
    const inbox = createInbox<HubEvent>(options.prefetchCount);
    const link = await openPartition(connection, options, partitionId, selector, (event) => inbox.put(event));
    void link.closed.then(() => {
      isOpen = false;
    });
    while (isOpen && !stopping.aborted) {
      const events = await inbox.take(link, options.maxBatchSize, Math.min(processor.dueInMs() ?? WAIT_MS, WAIT_MS), stopping);
      // What arrives while the listener stops is read again by the next one.
      if (stopping.aborted) break;
      for (const event of events) onRead(event);
      await processor.process(events);
    }
  } finally {
    connection.close();
  }
}

async function openPartition(
  connection: AmqpConnection,
  { eventHubName, consumerGroup }: EventHubOptions,
  partitionId: string,
  selector: string,
  onEvent: (event: HubEvent) => void,
) {
  const address = `${eventHubName}/ConsumerGroups/${consumerGroup}/Partitions/${partitionId}`;
  await connection.authorize(address);
  return openRawReceiver({
    connection,
    address,
    filter: { [SELECTOR]: rhea.types.wrap_described(selector, SELECTOR_CODE) as Typed },
    // One reader of a consumer group at a time: a new one takes the partition over (EventProcessor's owner level).
    properties: { [EPOCH]: rhea.types.wrap_long(0) },
    isSettled: false,
    onDelivery: ({ bytes }) => onEvent(hubEvent(bytes)),
  });
}
