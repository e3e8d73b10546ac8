import { registerHttp } from "../../shared/runtime/azure/http.ts";
import { azureProcess } from "../../shared/runtime/azure/process.ts";

// The Resubmitter API, and maintenance.
registerHttp(azureProcess(), ["resubmitter", "maintenance"]);
