import { http } from "@google-cloud/functions-framework";
import { startProcess } from "../../shared/runtime/gcp/process.ts";
import { resubmitterApi } from "../../shared/runtime/gcp/resubmit.ts";

// The Resubmitter API.
http("resubmit", resubmitterApi(startProcess()));
