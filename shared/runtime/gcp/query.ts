import type { HttpFunction } from "@google-cloud/functions-framework";
import { PersistorError } from "../../core/errors.ts";
import { signedCursors } from "../../core/query/cursor.ts";
import { createQueries } from "../../core/query/queries.ts";
import type { FunctionProcess } from "../function-process.ts";
import { healthRoutes, indexProbe } from "../http/health-routes.ts";
import { indexerRoutes } from "../http/indexer/routes.ts";
import { apiHandler } from "./api.ts";

/** The Indexer API as a function. */
export function indexerApi(process: FunctionProcess): HttpFunction {
  const { settings, clock, collections } = process;
  return apiHandler(process, async () => {
    if (settings.cursorSecret === undefined)
      throw new PersistorError("settings_invalid", "starting the Indexer API: set PERSISTOR_CURSOR_SECRET, the same for every instance");
    const index = await process.index();
    const queries = createQueries({ index, clock, cursors: signedCursors(settings.cursorSecret) });
    const probes = { index: indexProbe(index, collections) };
    return [
      { prefix: "/indexer", routes: indexerRoutes({ queries, collections }) },
      { prefix: "", routes: healthRoutes(() => probes, clock) },
    ];
  });
}
