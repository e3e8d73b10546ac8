import { registerHttp } from "../../shared/runtime/azure/http.ts";
import { azureProcess } from "../../shared/runtime/azure/process.ts";

// The Indexer API, and what every host answers.
registerHttp(azureProcess(), ["indexer", "healthz", "readyz", "openapi.json"]);
