import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { persistReadings } from "../../shared/runtime/azure/readings.ts";
import { registerTriggers } from "../../shared/runtime/azure/register.ts";

// Persists what Event Hubs delivers.
const process = azureProcess();
registerTriggers(process, persistReadings(process), "event-hubs");
