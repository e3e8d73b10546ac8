import type { Filter } from "../../../core/filter/ast.ts";
import type { FindOptions } from "../../../core/ports/metadata-index.ts";
import { serveSqliteWorker, type WorkerMethods } from "../../support/sqlite-worker.ts";
import { databaseError } from "./errors.ts";
import { createIndexReader } from "./index-read.ts";
import { type IndexWorkerData, makeSourceIndex, openIndexDatabase } from "./index-schema.ts";
import { createIndexWriter, type UpsertCall } from "./index-write.ts";

export interface GetCall {
  collection: string;
  ids: readonly string[];
}

export interface FindCall {
  collection: string;
  options: FindOptions;
}

export interface SummarizeCall {
  collection: string;
  filter: Filter;
  bucketMs?: number;
}

serveSqliteWorker((data: IndexWorkerData) => (data.role === "writer" ? serveWriter(data) : serveReader(data)));

function serveWriter(data: IndexWorkerData): WorkerMethods {
  const database = openIndexDatabase(data);
  const writer = createIndexWriter(database);
  return {
    methods: {
      upsert: (calls: readonly UpsertCall[]) => guarded("storing index records", () => writer.upsert(calls)),
      makeSourceIndex: () => guarded("making the index for source order", () => makeSourceIndex(database)),
    },
    close: () => database.close(),
  };
}

function serveReader(data: IndexWorkerData): WorkerMethods {
  const database = openIndexDatabase(data);
  const reader = createIndexReader(database);
  return {
    methods: {
      get: ({ collection, ids }: GetCall) => guarded(`reading records of ${collection}`, () => reader.get(collection, ids)),
      find: ({ collection, options }: FindCall) => guarded(`finding records in ${collection}`, () => reader.find(collection, options)),
      summarize: ({ collection, filter, bucketMs }: SummarizeCall) =>
        guarded(`summing up records of ${collection}`, () => reader.summarize(collection, filter, bucketMs)),
    },
    close: () => database.close(),
  };
}

function guarded<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw databaseError(action, "index_unavailable", error);
  }
}
