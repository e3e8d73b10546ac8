import { indexReadings } from "../../shared/runtime/azure/index-readings.ts";
import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { registerTriggers } from "../../shared/runtime/azure/register.ts";

// Stores index records that come by Service Bus.
const process = azureProcess();
registerTriggers(process, indexReadings(process), "service-bus");
