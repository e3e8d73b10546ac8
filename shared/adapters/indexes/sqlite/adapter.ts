import type { MetadataIndex } from "../../../core/ports/metadata-index.ts";
import type { AdapterContext, AdapterSettings, JobDatabase } from "../../registry.ts";
import { openJobDatabase } from "./jobs.ts";
import { openMetadataIndex } from "./metadata-index.ts";

/** Opens the metadata index of `dataDir` (file `index.db`). Throws IndexError `index_unavailable`. */
export function openIndex(_settings: AdapterSettings, { dataDir }: AdapterContext): Promise<MetadataIndex> {
  return openMetadataIndex(dataDir);
}

/** Opens the job store and the work items of `dataDir` (file `jobs.db`). Throws IndexError `job_store_unavailable`. */
export function openJobs(_settings: AdapterSettings, { dataDir }: AdapterContext): Promise<JobDatabase> {
  return openJobDatabase(dataDir);
}
