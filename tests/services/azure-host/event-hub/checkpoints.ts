import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint, CheckpointStore } from "@azure/event-hubs";
import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import { ContainerClient } from "@azure/storage-blob";

/** Where a partition of a hub is to be read on, for one consumer group. */
export interface Checkpoints {
  /** The last checkpoint's offset; undefined where there is none. */
  read(partitionId: string): Promise<string | undefined>;
  write(partitionId: string, offset: string, sequenceNumber: number): Promise<void>;
}

export interface HubIdentity {
  fullyQualifiedNamespace: string;
  eventHubName: string;
  consumerGroup: string;
}

/** EventHubOptions.LeaseContainerName. */
const CONTAINER = "azure-webjobs-eventhub";

/** In the storage account of `AzureWebJobsStorage`, in the form that .NET's trigger writes too; without that setting in files of `stateDir`. */
export async function openCheckpoints(storage: string | undefined, stateDir: string | undefined, hub: HubIdentity): Promise<Checkpoints> {
  if (storage) return inBlobs(storage, hub);
  if (stateDir) return inFiles(stateDir, hub);
  throw new Error("opening checkpoints: 'AzureWebJobsStorage' is not set; set it, or give the host a stateDir");
}

async function inBlobs(storage: string, hub: HubIdentity): Promise<Checkpoints> {
  const container = new ContainerClient(storage, CONTAINER);
  await container.createIfNotExists();
  const store: CheckpointStore = new BlobCheckpointStore(container);
  return {
    async read(partitionId) {
      const { fullyQualifiedNamespace, eventHubName, consumerGroup } = hub;
      const all: Checkpoint[] = await store.listCheckpoints(fullyQualifiedNamespace, eventHubName, consumerGroup);
      return all.find((checkpoint) => checkpoint.partitionId === partitionId)?.offset;
    },
    write: (partitionId, offset, sequenceNumber) => store.updateCheckpoint({ ...hub, partitionId, offset, sequenceNumber }),
  };
}

async function inFiles(stateDir: string, { fullyQualifiedNamespace, eventHubName, consumerGroup }: HubIdentity): Promise<Checkpoints> {
  const folder = join(stateDir, ...[fullyQualifiedNamespace, eventHubName, consumerGroup].map(encodeURIComponent));
  await mkdir(folder, { recursive: true });
  const pathOf = (partitionId: string) => join(folder, `${encodeURIComponent(partitionId)}.json`);
  return {
    async read(partitionId) {
      const text = await readFile(pathOf(partitionId), "utf8").catch(() => undefined);
      return text === undefined ? undefined : (JSON.parse(text) as { offset: string }).offset;
    },
    async write(partitionId, offset, sequenceNumber) {
      const path = pathOf(partitionId);
      await writeFile(`${path}.new`, JSON.stringify({ offset, sequenceNumber }));
      await rename(`${path}.new`, path);
    },
  };
}
