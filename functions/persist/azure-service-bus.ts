import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { persistReadings } from "../../shared/runtime/azure/readings.ts";
import { registerTriggers } from "../../shared/runtime/azure/register.ts";

// Persists what Service Bus delivers.
const process = azureProcess();
registerTriggers(process, persistReadings(process), "service-bus");
