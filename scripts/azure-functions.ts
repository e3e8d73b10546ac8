/** The entries of the function app on Azure: all are loaded by its one worker, and each registers what the settings name. */
export const AZURE_ENTRIES = [
  "functions/persist/azure-service-bus.ts",
  "functions/persist/azure-event-hubs.ts",
  "functions/persist/azure-kafka.ts",
  "functions/persist/azure-event-grid.ts",
  "functions/persist/azure-pull.ts",
  "functions/index/azure-service-bus.ts",
  "functions/index/azure-event-hubs.ts",
  "functions/index/azure-kafka.ts",
  "functions/query/azure-http.ts",
  "functions/resubmit/azure-http.ts",
  "functions/resubmit/azure-work.ts",
] as const;
