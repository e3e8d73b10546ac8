import { IndexError } from "../../../core/errors.ts";
import type { AdapterContext, AdapterSettings, JobDatabase } from "../../registry.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { type Connection, openConnection } from "./connection.ts";
import { type MongodbIndex, openMetadataIndex } from "./metadata-index.ts";
import { mongodbSettings } from "./settings.ts";

/** Opens the metadata index of a database; nothing is sent before its first use. Throws IndexError `settings_invalid`. */
export async function openIndex(settings: AdapterSettings, { log }: AdapterContext): Promise<MongodbIndex> {
  return openMetadataIndex(connectionOf(settings), log);
}

/** Opens the job store and the work items of a database; nothing is sent before their first use. Throws IndexError `settings_invalid`. */
export async function openJobs(settings: AdapterSettings): Promise<JobDatabase> {
  // Loaded here: a function that only indexes or queries needs none of it.
  const { openJobDatabase } = await import("./jobs.ts");
  return openJobDatabase(connectionOf(settings));
}

function connectionOf(settings: AdapterSettings): Connection {
  return openConnection(parseSettings(mongodbSettings, settings, "opening the index mongodb", IndexError));
}
