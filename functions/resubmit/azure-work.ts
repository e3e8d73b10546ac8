import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { registerTriggers } from "../../shared/runtime/azure/register.ts";
import { registerSweep, workReadings } from "../../shared/runtime/azure/resubmit-work.ts";

// Works resubmission jobs.
const process = azureProcess();
for (const reading of workReadings(process)) registerTriggers(process, [reading], reading.broker);
registerSweep(process);
