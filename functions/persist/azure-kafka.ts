import { azureProcess } from "../../shared/runtime/azure/process.ts";
import { persistReadings } from "../../shared/runtime/azure/readings.ts";
import { registerTriggers } from "../../shared/runtime/azure/register.ts";

// Persists what Kafka delivers.
const process = azureProcess();
registerTriggers(process, persistReadings(process), "kafka");
