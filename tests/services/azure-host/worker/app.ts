import type { Capabilities, FunctionMetadata, HostMessage, RpcInvocationRequest, RpcInvocationResponse, WorkerMessage } from "../rpc.ts";

/** What `@azure/functions` says of its functions and hooks, and what the worker keeps of the app (nodejs-worker src/AppContext.ts). */
export interface App {
  readonly hostVersion: string;
  readonly appDir: string;
  readonly packageJson: { main?: string; type?: string };
  readonly functions: Map<string, { metadata: FunctionMetadata; callback: FunctionCallback }>;
  readonly hooks: Record<HookName, HookCallback[]>;
  /** Seen by every hook. */
  readonly appHookData: Record<string, unknown>;
  /** Seen by `appStart` and `appTerminate` alone. */
  readonly appLevelHookData: Record<string, unknown>;
  programmingModel?: ProgrammingModel;
  /** Functions can be registered while the app starts, and no more after that. */
  isIndexingLocked: boolean;
  currentEntryPoint?: string;
  startError?: Error;
}

export type FunctionCallback = (...args: unknown[]) => unknown;
export type HookCallback = (context: unknown) => unknown;
export const HOOK_NAMES = ["preInvocation", "postInvocation", "appStart", "appTerminate", "log"] as const;
export type HookName = (typeof HOOK_NAMES)[number];

export interface ProgrammingModel {
  name: string;
  version: string;
  getInvocationModel(context: CoreInvocationContext): InvocationModel | Promise<InvocationModel>;
  getCapabilities?(capabilities: Capabilities): Capabilities | Promise<Capabilities>;
}

export interface InvocationModel {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], callback: FunctionCallback): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<RpcInvocationResponse>;
}

export interface CoreInvocationContext {
  invocationId: string;
  request: RpcInvocationRequest;
  metadata: { name: string; bindings: Record<string, unknown> };
  state?: "preInvocationHooks" | "invocation" | "postInvocationHooks";
  log(level: string, logCategory: string, message: string): void;
}

/** An error of the worker itself: telemetry may see it. */
export type SystemError = Error & { isAzureFunctionsSystemError?: boolean };

export const systemError = (message: string, base: new (message: string) => Error = Error): SystemError =>
  Object.assign(new base(message), { isAzureFunctionsSystemError: true });

/** Anything thrown, as an error (nodejs-worker src/errors.ts). */
export function errorOf(thrown: unknown): SystemError {
  if (thrown instanceof Error) {
    return Object.getOwnPropertyDescriptor(thrown, "message")?.writable ? thrown : new Error(JSON.stringify(thrown));
  }
  if (thrown === undefined || thrown === null) return new Error("Unknown error");
  return new Error(typeof thrown === "object" ? JSON.stringify(thrown) : String(thrown));
}

/** A plain object whose `fixed` properties cannot be assigned, as hook contexts are. */
export function readOnly<T extends object>(fixed: Record<string, () => unknown>, rest: T): T & Record<string, unknown> {
  const properties = Object.entries(fixed).map(([name, get]): [string, PropertyDescriptor] => [
    name,
    {
      enumerable: true,
      get,
      set() {
        throw systemError(`Cannot assign to read only property '${name}'`, TypeError);
      },
    },
  ]);
  return Object.defineProperties(rest, Object.fromEntries(properties)) as T & Record<string, unknown>;
}

export function send(message: WorkerMessage): void {
  process.send?.(message);
}

export type Init = Extract<HostMessage, { kind: "init" }>;

export function createApp({ appDir, hostVersion }: Init, packageJson: App["packageJson"]): App {
  return {
    hostVersion,
    appDir,
    packageJson,
    functions: new Map(),
    hooks: { preInvocation: [], postInvocation: [], appStart: [], appTerminate: [], log: [] },
    appHookData: {},
    appLevelHookData: {},
    isIndexingLocked: false,
  };
}
