import { http } from "@google-cloud/functions-framework";
import { indexPushes } from "../../shared/runtime/gcp/index-push.ts";
import { startProcess } from "../../shared/runtime/gcp/process.ts";

// Stores the index records that Pub/Sub pushes.
http("index", indexPushes(startProcess()));
