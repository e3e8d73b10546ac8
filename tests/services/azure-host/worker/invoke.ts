import type { LogCategory, LogLevel, LongForm, RpcInvocationRequest, RpcInvocationResponse, RpcTypedData } from "../rpc.ts";
import { type App, type CoreInvocationContext, readOnly, systemError } from "./app.ts";
import { type InvocationLogContext, logEntry, runHooks } from "./log.ts";

/** Runs one invocation through the programming model and the app's hooks (nodejs-worker src/eventHandlers/InvocationHandler.ts). */
export async function invoke(app: App, received: RpcInvocationRequest, longs: LongForm): Promise<RpcInvocationResponse> {
  const registered = app.functions.get(received.functionId);
  if (!registered) throw systemError(`Function code for '${received.functionId}' is not loaded and cannot be invoked.`);
  const model = app.programmingModel;
  if (!model) throw systemError("Internal error: programmingModel must be defined");
  const logContext: { current?: InvocationLogContext } = {};
  const core = coreContext(app, withLongs(received, longs), registered.metadata, logContext);
  const invocation = await model.getInvocationModel(core);
  const hookData = {};
  const { context, inputs } = await invocation.getArguments();
  logContext.current = { hookData, invocationContext: context };
  const fixed = { hookData: () => hookData, appHookData: () => app.appHookData, invocationContext: () => context };

  const before = readOnly(fixed, { functionCallback: registered.callback, inputs });
  await inState(core, "preInvocationHooks", () => runHooks(app, "preInvocation", before));
  const after = readOnly(fixed, { inputs: before.inputs, result: null as unknown, error: null as unknown });
  await inState(core, "invocation", async () => {
    try {
      after.result = await invocation.invokeFunction(context, before.inputs, before.functionCallback);
    } catch (error) {
      after.error = error;
    }
  });
  await inState(core, "postInvocationHooks", () => runHooks(app, "postInvocation", after));
  if (after.error !== null && after.error !== undefined) throw after.error;
  return invocation.getResponse(context, after.result);
}

function coreContext(
  app: App,
  request: RpcInvocationRequest,
  { name, bindings }: { name: string; bindings: readonly { name: string }[] },
  logContext: { current?: InvocationLogContext },
): CoreInvocationContext {
  return {
    invocationId: request.invocationId,
    request,
    metadata: { name, bindings: Object.fromEntries(bindings.map(({ name, ...binding }) => [name, binding])) },
    log(level, logCategory, message) {
      const entry = { level: level as LogLevel, logCategory: logCategory as LogCategory, message, category: `Function.${name}` };
      logEntry(app, entry, logContext.current);
    },
  };
}

async function inState(core: CoreInvocationContext, state: NonNullable<CoreInvocationContext["state"]>, run: () => Promise<void>) {
  core.state = state;
  try {
    await run();
  } finally {
    core.state = undefined;
  }
}

/** protobuf.js makes rounded numbers of 64-bit integers, or objects where it found the package `long`. */
function withLongs(request: RpcInvocationRequest, longs: LongForm): RpcInvocationRequest {
  const convert = (value: bigint) => (longs === "number" ? Number(value) : longObject(value));
  const converted = (data: RpcTypedData): RpcTypedData =>
    data.collectionSint64 ? { collectionSint64: { sint64: data.collectionSint64.sint64.map(convert) as unknown as bigint[] } } : data;
  return {
    ...request,
    triggerMetadata: Object.fromEntries(Object.entries(request.triggerMetadata).map(([name, data]) => [name, converted(data)])),
  };
}

const longObject = (value: bigint) => ({
  low: Number(BigInt.asIntN(32, value)),
  high: Number(BigInt.asIntN(32, value >> 32n)),
  unsigned: false,
});
