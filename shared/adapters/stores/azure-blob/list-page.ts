import { type ContainerClient, type ContainerListBlobHierarchySegmentResponse, StorageResponseFormat } from "@azure/storage-blob";
import type { Moving } from "./calls.ts";
import { foreignAnswer } from "./errors.ts";

/** The server's own limit. */
const PAGE_ENTRIES = 5000;

const NO_LIST = "it sent something that is no list";

export interface PageQuery {
  /** What the names of the blobs begin with; as a rule a folder. */
  prefix: string;
  /** The first name, or what it begins with; without a `/` behind `prefix`. */
  from?: string;
  marker?: string;
  /** Default 5,000. */
  maxEntries?: number;
}

/** What lies in one folder. */
export interface Page {
  blobs: readonly { name: string; size: number }[];
  /** Names of folders in it, ending in `/`. */
  folders: readonly string[];
  /** For the next page; undefined at the last one. */
  marker: string | undefined;
}

/** One request for a page of the blobs and folders of a folder. Throws what the SDK throws. */
export async function readPage(container: ContainerClient, { abortSignal }: Moving, query: PageQuery): Promise<Page> {
  const { prefix, from, marker, maxEntries = PAGE_ENTRIES } = query;
  const pages = container
    .listBlobsByHierarchy("/", {
      abortSignal,
      responseFormat: StorageResponseFormat.Xml,
      ...(prefix && { prefix }),
      ...(from && { startFrom: from }),
    })
    .byPage({ maxPageSize: maxEntries, ...(marker && { continuationToken: marker }) });
  const answer: ContainerListBlobHierarchySegmentResponse | undefined = await pages.next().then(({ value }) => value, unreadable);
  if (!answer?.segment || answer.containerName !== container.containerName) throw foreignAnswer(NO_LIST);
  return {
    blobs: answer.segment.blobItems.map(({ name, properties }) => ({ name, size: properties.contentLength ?? 0 })),
    folders: (answer.segment.blobPrefixes ?? []).map(({ name }) => name),
    marker: answer.continuationToken || undefined,
  };
}

/** The SDK looks for what an answer must hold, and stumbles where it holds nothing. */
function unreadable(error: unknown): never {
  throw error instanceof TypeError ? foreignAnswer(NO_LIST) : error;
}
