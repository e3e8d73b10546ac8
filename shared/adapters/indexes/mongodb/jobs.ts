import type { JobDatabase } from "../../registry.ts";
import type { Connection } from "./connection.ts";
import { createWorkItems } from "./items.ts";
import { openJobCollections } from "./jobs-collections.ts";
import { createJobStore } from "./jobs-store.ts";

/** Opens the job store and the work items of a database, which then own the connection; nothing is sent before their first use. */
export function openJobDatabase(connection: Connection): JobDatabase {
  const collections = openJobCollections(connection);
  const close = () => connection.close();
  return { jobs: createJobStore(collections, close), items: createWorkItems(collections), close };
}
