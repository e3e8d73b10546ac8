import type { Capabilities, HostMessage, LongForm } from "../rpc.ts";
import { type App, createApp, errorOf, readOnly, send } from "./app.ts";
import { provideCoreModule } from "./core-api.ts";
import { invoke } from "./invoke.ts";
import { readPackageJson, startApp } from "./load.ts";
import { runHooks, systemLog } from "./log.ts";

// The process of one Node worker: loads the app, reports its functions, runs its invocations.

/** nodejs-worker src/eventHandlers/getWorkerCapabilities.ts. */
const CAPABILITIES: Capabilities = {
  RawHttpBodyBytes: "true",
  RpcHttpTriggerMetadataRemoved: "true",
  RpcHttpBodyOnly: "true",
  IgnoreEmptyValuedRpcHttpHeaders: "true",
  UseNullableValueDictionaryForHttp: "true",
  WorkerStatus: "true",
  TypedDataCollection: "true",
  HandlesWorkerTerminateMessage: "true",
};

let app: App | undefined;
let longs: LongForm = "number";

async function start(message: Extract<HostMessage, { kind: "init" }>): Promise<void> {
  longs = message.longs;
  app = createApp(message, await readPackageJson(message.appDir));
  provideCoreModule(app);
  try {
    await startApp(app);
  } catch (thrown) {
    return send({ kind: "started", capabilities: CAPABILITIES, functions: [], error: errorOf(thrown).message });
  }
  const { programmingModel } = app;
  const capabilities = (await programmingModel?.getCapabilities?.({ ...CAPABILITIES })) ?? CAPABILITIES;
  app.isIndexingLocked = true;
  // An app without any function has nothing that its error could block (nodejs-worker FunctionsMetadataHandler.ts).
  const error = app.functions.size > 0 ? app.startError?.message : undefined;
  const functions = error ? [] : [...app.functions.values()].map(({ metadata }) => metadata);
  send({ kind: "started", capabilities: { ...capabilities }, functions, ...(error && { error }) });
}

async function run({ request }: Extract<HostMessage, { kind: "invoke" }>, running: App): Promise<void> {
  try {
    send({ kind: "succeeded", response: await invoke(running, request, longs) });
  } catch (thrown) {
    const error = errorOf(thrown);
    if (error.isAzureFunctionsSystemError) systemLog(running, "error", error.message);
    send({ kind: "failed", invocationId: request.invocationId, message: error.message, stack: error.stack ?? "" });
  }
}

async function terminate(running: App): Promise<void> {
  systemLog(running, "debug", "Received workerTerminate message; gracefully shutting down worker");
  const context = readOnly({ hookData: () => running.appLevelHookData, appHookData: () => running.appHookData }, {});
  await runHooks(running, "appTerminate", context);
  process.exit(0);
}

process.on("message", (message: HostMessage) => {
  if (message.kind === "init") return void start(message);
  if (!app) throw new Error(`starting the worker: ${message.kind} came before init`);
  return void (message.kind === "invoke" ? run(message, app) : terminate(app));
});
// A worker does not outlive its host.
process.on("disconnect", () => process.exit(1));
