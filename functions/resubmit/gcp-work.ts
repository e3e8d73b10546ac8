import { http } from "@google-cloud/functions-framework";
import { startProcess } from "../../shared/runtime/gcp/process.ts";
import { resubmitWork } from "../../shared/runtime/gcp/resubmit-work.ts";

// Works resubmission jobs.
http("resubmit-work", resubmitWork(startProcess()));
