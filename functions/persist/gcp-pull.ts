import { http } from "@google-cloud/functions-framework";
import { persistPulls } from "../../shared/runtime/gcp/persist-pull.ts";
import { startProcess } from "../../shared/runtime/gcp/process.ts";

// Drains a subscription for a scheduler.
http("persist-pull", persistPulls(startProcess()));
