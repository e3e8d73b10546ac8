import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { BlobServiceClient, type ContainerClient, newPipeline, type StoragePipelineOptions } from "@azure/storage-blob";
import { PersistorError } from "../../../core/errors.ts";
import { azureCredential } from "../../support/azure-credential.ts";
import type { AzureBlobProcessSettings } from "./settings.ts";

/** The store repeats by itself: the SDK waits for seconds, and takes no account of 429 and of answers that were cut off. */
const ONE_TRY = { maxTries: 1 };

export interface OpenedContainer {
  container: ContainerClient;
  /** Ends the connections. */
  close(): void;
}

/** The container, with connections of its own. No request is made. Throws PersistorError `settings_invalid`. */
export async function openContainer(name: string, settings: AzureBlobProcessSettings): Promise<OpenedContainer> {
  const { url, pipeline } = await accountOf(settings);
  const agents = { "http:": new HttpAgent({ keepAlive: true }), "https:": new HttpsAgent({ keepAlive: true }) };
  pipeline.factories.push({
    create: (next) => ({
      sendRequest(request) {
        // Where a proxy is set, its agent is there already, or takes the place of this one.
        request.agent ??= agents[new URL(request.url).protocol as keyof typeof agents];
        return next.sendRequest(request);
      },
    }),
  });
  return {
    container: new BlobServiceClient(url, pipeline).getContainerClient(name),
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

async function accountOf({ connectionString, blobServiceUri, ...identity }: AzureBlobProcessSettings) {
  const options: StoragePipelineOptions = { retryOptions: ONE_TRY };
  if (connectionString !== undefined && blobServiceUri === undefined) {
    const { url, credential } = BlobServiceClient.fromConnectionString(connectionString, options);
    return { url, pipeline: newPipeline(credential, options) };
  }
  if (blobServiceUri !== undefined && connectionString === undefined) {
    return { url: blobServiceUri, pipeline: newPipeline(await azureCredential(identity), options) };
  }
  throw new PersistorError("settings_invalid", "opening a store of kind azure-blob: set either connectionString or blobServiceUri");
}
