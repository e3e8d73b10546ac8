import { signedCursors } from "../../shared/core/query/cursor.ts";
import { createQueries, type QueryDeps } from "../../shared/core/query/queries.ts";
import { indexerRoutes, type KnownCollection } from "../../shared/runtime/http/indexer/routes.ts";
import type { Route } from "../../shared/runtime/http/route.ts";

export interface QueryFunctionDeps extends Pick<QueryDeps, "index" | "clock"> {
  collections(): readonly KnownCollection[];
}

/** The Indexer API of the local host. `cursorSecret` signs cursors; at least 32 bytes. */
export function queryRoutes({ index, clock, collections }: QueryFunctionDeps, cursorSecret: string): Route[] {
  const queries = createQueries({ index, clock, cursors: signedCursors(cursorSecret) });
  return indexerRoutes({ queries, collections });
}
