import type { PartitionOwnership } from "@azure/event-hubs";
import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import type { ContainerClient } from "@azure/storage-blob";
import type { Position } from "../message.ts";
import { storageErrorOf } from "./storage.ts";

/** Whose checkpoints these are. */
export interface GroupName {
  fullyQualifiedNamespace: string;
  eventHubName: string;
  consumerGroup: string;
}

/** What a consumer group notes beside its checkpoints. */
export interface Note {
  /** When the event hub was made that the checkpoints belong to, in milliseconds since 1970. */
  createdMs: number;
  /** Partitions that it had when the group began to read it: those beyond were added later. */
  partitions: number;
}

/** What consumers of a group know of each other, in a container, in the form that the SDKs of Event Hubs share. All methods throw BrokerError. */
export interface Checkpoints {
  /** Makes the container where it is missing. */
  open(): Promise<void>;
  listOwnership(group: GroupName): Promise<PartitionOwnership[]>;
  /** Returns those that could be claimed. */
  claimOwnership(ownerships: PartitionOwnership[]): Promise<PartitionOwnership[]>;
  /** By partition; reading goes on behind them. */
  list(group: GroupName): Promise<Map<string, Position>>;
  write(group: GroupName, partition: string, position: Position): Promise<void>;
  /** Writes a checkpoint where there is none. */
  writeFirst(group: GroupName, partition: string, position: Position): Promise<void>;
  /** The group's note; where it has none, `first` becomes it. */
  noteOf(group: GroupName, first: Note): Promise<Note>;
  writeNote(group: GroupName, note: Note): Promise<void>;
}

export function createCheckpoints(container: ContainerClient): Checkpoints {
  const store = new BlobCheckpointStore(container);
  const doing = (what: string) => `${what} in container ${container.containerName}`;
  /** Returns false where the blob is there. */
  const create = async (name: string, metadata: Record<string, string>): Promise<boolean> => {
    try {
      await container.getBlockBlobClient(name).upload("", 0, { metadata, conditions: { ifNoneMatch: "*" } });
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code === "BlobAlreadyExists") return false;
      throw error;
    }
  };
  const checkpoints: Checkpoints = {
    async open() {
      try {
        await container.createIfNotExists();
      } catch (error) {
        // Who may not make containers may still use this one.
        if ((error as { statusCode?: unknown }).statusCode !== 403) throw error;
      }
    },
    listOwnership: ({ fullyQualifiedNamespace, eventHubName, consumerGroup }) =>
      store.listOwnership(fullyQualifiedNamespace, eventHubName, consumerGroup),
    claimOwnership: (ownerships) => store.claimOwnership(ownerships),
    async list({ fullyQualifiedNamespace, eventHubName, consumerGroup }) {
      const found = await store.listCheckpoints(fullyQualifiedNamespace, eventHubName, consumerGroup);
      return new Map(found.map(({ partitionId, offset, sequenceNumber }) => [partitionId, { offset, sequenceNumber }]));
    },
    write: (group, partitionId, position) => store.updateCheckpoint({ ...group, partitionId, ...position }),
    async writeFirst(group, partition, { offset, sequenceNumber }) {
      await create(`${prefixOf(group)}/checkpoint/${partition}`, { offset, sequencenumber: String(sequenceNumber) });
    },
    async noteOf(group, first) {
      const name = `${prefixOf(group)}/hub`;
      if (await create(name, formOf(first))) return first;
      const { metadata = {} } = await container.getBlobClient(name).getProperties();
      return { createdMs: Number(metadata.createdms), partitions: Number(metadata.partitions) };
    },
    async writeNote(group, note) {
      await container.getBlockBlobClient(`${prefixOf(group)}/hub`).upload("", 0, { metadata: formOf(note) });
    },
  };
  return {
    open: telling(checkpoints.open, doing("making a place for checkpoints")),
    listOwnership: telling(checkpoints.listOwnership, doing("reading who owns partitions")),
    claimOwnership: telling(checkpoints.claimOwnership, doing("claiming partitions")),
    list: telling(checkpoints.list, doing("reading checkpoints")),
    write: telling(checkpoints.write, doing("writing checkpoints")),
    writeFirst: telling(checkpoints.writeFirst, doing("writing checkpoints")),
    noteOf: telling(checkpoints.noteOf, doing("reading checkpoints")),
    writeNote: telling(checkpoints.writeNote, doing("writing checkpoints")),
  };
}

/** As the SDKs name their blobs. */
function prefixOf({ fullyQualifiedNamespace, eventHubName, consumerGroup }: GroupName): string {
  return `${fullyQualifiedNamespace}/${eventHubName}/${consumerGroup}`.toLowerCase();
}

function formOf({ createdMs, partitions }: Note): Record<string, string> {
  return { createdms: String(createdMs), partitions: String(partitions) };
}

function telling<A extends unknown[], R>(call: (...args: A) => Promise<R>, doing: string): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await call(...args);
    } catch (error) {
      throw storageErrorOf(error, doing);
    }
  };
}
