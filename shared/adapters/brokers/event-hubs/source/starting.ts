import { type EventHubConsumerClient, type EventPosition, earliestEventPosition } from "@azure/event-hubs";
import type { Log } from "../../../../core/ports/log.ts";
import type { Position } from "../message.ts";
import type { Checkpoints, GroupName } from "./checkpoints.ts";

/** Where a group begins that has no checkpoint: at either end, or at the first message of this time (milliseconds) or later. */
export type StartAt = "earliest" | "latest" | number;

/** Where partitions are read from. Methods throw BrokerError and the SDK's errors. */
export interface Starting {
  /**
   * Notes where a new group begins, and voids the checkpoints of a hub that was made again. To be called before partitions are claimed. Returns how many
   * there are.
   */
  prepare(client: EventHubConsumerClient): Promise<number>;
  /** Behind which event a partition is read from now on; undefined where it has no checkpoint, and `otherwise()` counts. */
  positionOf(client: EventHubConsumerClient, partition: string): Promise<Position | undefined>;
  /** For partitions without a checkpoint. */
  otherwise(): EventPosition;
}

/** A checkpoint before the first event. */
const BEGINNING: Position = { offset: "-1", sequenceNumber: -1 };

export interface StartingOptions {
  checkpoints: Checkpoints;
  group: string;
  start: StartAt;
  log: Log;
}

export function createStarting({ checkpoints, group: consumerGroup, start, log }: StartingOptions): Starting {
  const nameOf = ({ fullyQualifiedNamespace, eventHubName }: EventHubConsumerClient): GroupName => {
    return { fullyQualifiedNamespace, eventHubName, consumerGroup };
  };
  const isLatest = () => start === "latest" || (typeof start === "number" && start >= Date.now());

  /** Noted at once: else "latest" would be a later one after a crash. */
  const noteLatest = async (client: EventHubConsumerClient, partitions: readonly string[]): Promise<void> => {
    const known = await checkpoints.list(nameOf(client));
    const unknown = partitions.filter((partition) => !known.has(partition));
    await Promise.all(
      unknown.map(async (partition) => {
        const { lastEnqueuedOffset, lastEnqueuedSequenceNumber } = await client.getPartitionProperties(partition);
        const last = { offset: String(lastEnqueuedOffset), sequenceNumber: Number(lastEnqueuedSequenceNumber) };
        await checkpoints.writeFirst(nameOf(client), partition, last);
      }),
    );
  };
  return {
    async prepare(client) {
      await checkpoints.open();
      const { createdOn, partitionIds } = await client.getEventHubProperties();
      const now = { createdMs: createdOn.getTime(), partitions: partitionIds.length };
      const noted = await checkpoints.noteOf(nameOf(client), now);
      if (noted.createdMs < now.createdMs) {
        log.error("the event hub was made again: it is read from its beginning", { topic: client.eventHubName, group: consumerGroup });
        await Promise.all(partitionIds.map((partition) => checkpoints.write(nameOf(client), partition, BEGINNING)));
        await checkpoints.writeNote(nameOf(client), now);
        return now.partitions;
      }
      // What lies in a partition that was added since is new.
      if (isLatest())
        await noteLatest(
          client,
          partitionIds.filter((partition) => Number(partition) < noted.partitions),
        );
      return now.partitions;
    },
    async positionOf(client, partition) {
      const position = (await checkpoints.list(nameOf(client))).get(partition);
      if (!position || position.sequenceNumber < 0) return position;
      const { lastEnqueuedSequenceNumber: last } = await client.getPartitionProperties(partition);
      if (position.sequenceNumber <= last) return position;
      const fields = { topic: client.eventHubName, group: consumerGroup, partition, checkpoint: position.sequenceNumber, last };
      log.error("the partition ends before what was read last: it is read from its beginning", fields);
      await checkpoints.write(nameOf(client), partition, BEGINNING);
      return BEGINNING;
    },
    otherwise: () => (typeof start === "number" && !isLatest() ? { enqueuedOn: start - 1 } : earliestEventPosition),
  };
}
