import Module from "node:module";
import { basename } from "node:path";
import type { FunctionMetadata, LogCategory, LogLevel, RpcRetryOptions } from "../rpc.ts";
import {
  type App,
  type FunctionCallback,
  HOOK_NAMES,
  type HookCallback,
  type HookName,
  type ProgrammingModel,
  systemError,
} from "./app.ts";
import { logEntry, systemLog } from "./log.ts";

const WORKER_VERSION = "3.9.1";
const CORE_MODULE = "@azure/functions-core";
const DATA_TYPES = ["binary", "stream", "string", "undefined"];
const DIRECTIONS = ["in", "inout", "out"];

/** Makes `require("@azure/functions-core")` give the worker's API, by the means of the real worker (nodejs-worker src/setupCoreModule.ts). */
export function provideCoreModule(app: App): void {
  const api = createCoreApi(app);
  Module.prototype.require = new Proxy(Module.prototype.require, {
    apply: (target, self, args) => (args[0] === CORE_MODULE ? api : Reflect.apply(target, self, args)),
  });
}

function createCoreApi(app: App) {
  return {
    version: WORKER_VERSION,
    get hostVersion() {
      return app.hostVersion;
    },
    Disposable,
    registerFunction: (metadata: RegisteredMetadata, callback: FunctionCallback) => registerFunction(app, metadata, callback),
    registerHook: (name: string, callback: HookCallback) => registerHook(app, name, callback),
    getProgrammingModel: () => app.programmingModel,
    setProgrammingModel(model: ProgrammingModel) {
      app.programmingModel = model;
      systemLog(app, "information", `Setting Node.js programming model to "${model.name}" version "${model.version}"`);
    },
    log: (level: LogLevel, logCategory: LogCategory, message: string) => logEntry(app, { level, logCategory, message }),
  };
}

/** What `@azure/functions` promises of this class: `instanceof` works, and `from` joins several. */
class Disposable {
  static from(...disposables: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const one of disposables) one.dispose();
    });
  }
  readonly #dispose: () => unknown;
  constructor(dispose: () => unknown) {
    this.#dispose = dispose;
  }
  dispose(): unknown {
    return this.#dispose();
  }
}

interface RegisteredMetadata {
  name: string;
  functionId?: string;
  bindings: Record<string, { dataType?: string; direction?: string }>;
  retryOptions?: RpcRetryOptions;
}

/** nodejs-worker src/coreApi/registerFunction.ts and converters/fromCoreFunctionMetadata.ts. */
function registerFunction(app: App, metadata: RegisteredMetadata, callback: FunctionCallback): Disposable {
  if (app.isIndexingLocked) throw systemError("A function can only be registered during app startup.");
  const functionId = metadata.functionId || metadata.name;
  if (app.functions.has(functionId)) throw systemError(`A function with id "${functionId}" has already been registered.`);
  for (const binding of Object.values(metadata.bindings)) {
    checkEnum(binding.dataType, DATA_TYPES, "CoreRpcBindingDataType");
    checkEnum(binding.direction, DIRECTIONS, "CoreRpcBindingDirection");
  }
  app.functions.set(functionId, { metadata: reportedMetadata(app, functionId, metadata), callback });
  return new Disposable(() => {
    if (app.isIndexingLocked) throw systemError("A function can only be disposed during app startup.");
    app.functions.delete(functionId);
  });
}

function checkEnum(value: string | undefined, allowed: readonly string[], type: string): void {
  if (value === undefined || value === null || allowed.includes(value)) return;
  throw systemError(`Unexpected value "${value}" for type "${type}"`, RangeError);
}

/** The host reads the bindings as JSON text, so what JSON cannot carry is gone. */
function reportedMetadata(app: App, functionId: string, { name, bindings, retryOptions }: RegisteredMetadata): FunctionMetadata {
  return {
    functionId,
    name,
    scriptFile: app.currentEntryPoint ? basename(app.currentEntryPoint) : "unknown",
    bindings: JSON.parse(JSON.stringify(Object.entries(bindings).map(([name, binding]) => ({ ...binding, name })))),
    ...(retryOptions && { retryOptions: JSON.parse(JSON.stringify(retryOptions)) }),
  };
}

function registerHook(app: App, name: string, callback: HookCallback): Disposable {
  if (!(HOOK_NAMES as readonly string[]).includes(name)) throw systemError(`Unrecognized hook "${name}"`, RangeError);
  const hooks = app.hooks[name as HookName];
  hooks.push(callback);
  return new Disposable(() => {
    const index = hooks.indexOf(callback);
    if (index >= 0) hooks.splice(index, 1);
  });
}
