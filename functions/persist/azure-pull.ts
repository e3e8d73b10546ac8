import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { registerPulls } from "../../shared/runtime/azure/pull-timer.ts";

// Drains sources by a timer.
registerPulls(azureProcess());
