import { http } from "@google-cloud/functions-framework";
import { startProcess } from "../../shared/runtime/gcp/process.ts";
import { indexerApi } from "../../shared/runtime/gcp/query.ts";

// The Indexer API.
http("query", indexerApi(startProcess()));
