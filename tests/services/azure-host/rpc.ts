// The shapes of the worker protocol (azure-functions-language-worker-protobuf, FunctionRpc.proto), as far as these triggers use them.

export interface ModelBindingData {
  version: string;
  source: string;
  contentType: string;
  content: Uint8Array;
}

export interface RpcHttp {
  url?: string;
  method?: string;
  nullableHeaders?: Record<string, { value: string }>;
  nullableQuery?: Record<string, { value: string }>;
  nullableParams?: Record<string, { value: string }>;
  body?: RpcTypedData;
  statusCode?: string;
  headers?: Record<string, string>;
  cookies?: readonly RpcHttpCookie[];
}

export interface RpcHttpCookie {
  name: string;
  value: string;
  domain?: { value: string };
  path?: { value: string };
  expires?: { value: { seconds: number } };
  secure?: { value: boolean };
  httpOnly?: { value: boolean };
  sameSite?: "none" | "lax" | "strict" | "explicitNone";
  maxAge?: { value: number };
}

/** One value between host and worker; at most one of its fields is there, and none stands for null. */
export interface RpcTypedData {
  string?: string;
  json?: string;
  bytes?: Uint8Array;
  http?: RpcHttp;
  int?: number;
  double?: number;
  collectionBytes?: { bytes: Uint8Array[] };
  collectionString?: { string: string[] };
  /** The worker makes numbers, or objects, of them. */
  collectionSint64?: { sint64: bigint[] };
  modelBindingData?: ModelBindingData;
  collectionModelBindingData?: { modelBindingData: ModelBindingData[] };
}

export interface RpcRetryContext {
  retryCount: number;
  maxRetryCount: number;
  exception?: { message: string; stackTrace: string; source: string };
}

export interface RpcInvocationRequest {
  invocationId: string;
  functionId: string;
  inputData: { name: string; data: RpcTypedData }[];
  triggerMetadata: Record<string, RpcTypedData>;
  traceContext?: { traceParent: string; traceState: string; attributes: Record<string, string> };
  retryContext?: RpcRetryContext;
}

export interface RpcInvocationResponse {
  invocationId: string;
  returnValue?: RpcTypedData | null;
  outputData?: { name: string; data: RpcTypedData }[];
}

export interface RpcRetryOptions {
  maxRetryCount?: number;
  retryStrategy?: "fixedDelay" | "exponentialBackoff";
  delayInterval?: { seconds: number };
  minimumInterval?: { seconds: number };
  maximumInterval?: { seconds: number };
}

/** A binding as the app declared it. */
export interface Binding {
  name: string;
  type: string;
  direction: "in" | "out" | "inout";
  dataType?: "binary" | "string" | "stream" | "undefined";
  cardinality?: string;
  properties?: { supportsDeferredBinding?: string };
  readonly [option: string]: unknown;
}

/** A function as the worker reports it. */
export interface FunctionMetadata {
  functionId: string;
  name: string;
  scriptFile: string;
  bindings: readonly Binding[];
  retryOptions?: RpcRetryOptions;
}

export type Capabilities = Readonly<Record<string, string>>;
export type LogLevel = "trace" | "debug" | "information" | "warning" | "error" | "critical" | "none";
export type LogCategory = "user" | "system" | "customMetric";

export interface StartedApp {
  capabilities: Capabilities;
  functions: readonly FunctionMetadata[];
  /** Why the app cannot run; the host then runs no function. */
  error?: string;
}

/** How the worker hands over 64-bit numbers of a batch's metadata: it depends on its version (azure-functions-nodejs-worker#844). */
export type LongForm = "number" | "object";

export type HostMessage =
  | { kind: "init"; appDir: string; hostVersion: string; longs: LongForm }
  | { kind: "invoke"; request: RpcInvocationRequest }
  | { kind: "terminate" };

export type WorkerMessage =
  | ({ kind: "started" } & StartedApp)
  | { kind: "log"; level: LogLevel; category: string; logCategory: LogCategory; message: string }
  | { kind: "succeeded"; response: RpcInvocationResponse }
  | { kind: "failed"; invocationId: string; message: string; stack: string };
