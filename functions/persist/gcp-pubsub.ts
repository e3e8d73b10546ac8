import { http } from "@google-cloud/functions-framework";
import { persistPushes } from "../../shared/runtime/gcp/persist-push.ts";
import { startProcess } from "../../shared/runtime/gcp/process.ts";

// Persists what Pub/Sub pushes.
http("persist", persistPushes(startProcess()));
