import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Typed } from "./dotnet.ts";
import type { HostLog } from "./host-log.ts";
import { nextRetryDelayMs } from "./retry.ts";
import type { Capabilities, FunctionMetadata, RpcInvocationResponse, RpcRetryContext } from "./rpc.ts";
import type { Worker } from "./worker-process.ts";

/** What a trigger hands to a function; made anew for each attempt, and a failure to make it is a failure of the invocation. */
export interface TriggerInput {
  data: Typed;
  metadata?: Readonly<Record<string, Typed>>;
}

export interface FunctionResult {
  succeeded: boolean;
  error?: Error;
  response?: RpcInvocationResponse;
}

export interface Execution {
  fn: FunctionMetadata;
  worker: Worker;
  /** Which binding gets `data`. */
  bindingName: string;
  input(capabilities: Capabilities): TriggerInput;
  /** Aborted: no further retry. */
  signal?: AbortSignal;
  /** Told of the id before the function runs. */
  onInvocation?(invocationId: string): void;
}

/** Invocations of one function; each attempt of a retry policy is one. */
export interface InvocationCounts {
  started: number;
  succeeded: number;
  failed: number;
}

export interface Executor {
  /** Runs a function until it succeeds or its retry policy is used up; never throws. */
  execute(execution: Execution): Promise<FunctionResult>;
  counts(): Readonly<Record<string, InvocationCounts>>;
  /** Resolves as soon as nothing runs. */
  idle(): Promise<void>;
}

/** `timeoutMs`: host.json's `functionTimeout`; a function that runs longer fails, and its worker is started anew. */
export function createExecutor(log: HostLog, timeoutMs: number | undefined): Executor {
  const counts: Record<string, InvocationCounts> = {};
  const running = new Set<Promise<FunctionResult>>();
  const attempt = async (execution: Execution, retryContext?: RpcRetryContext): Promise<FunctionResult> => {
    const { name } = execution.fn;
    counts[name] ??= { started: 0, succeeded: 0, failed: 0 };
    counts[name].started++;
    const invocationId = randomUUID();
    log.write("information", `Function.${name}`, `Executing 'Functions.${name}' (Id=${invocationId})`);
    const startedAt = performance.now();
    const result = await tryInvoke(execution, invocationId, retryContext, timeoutMs);
    counts[name][result.succeeded ? "succeeded" : "failed"]++;
    const end = `(${result.succeeded ? "Succeeded" : "Failed"}, Id=${invocationId}, Duration=${Math.round(performance.now() - startedAt)}ms)`;
    const failure = result.error ? `\nResult: Failure\nException: ${result.error.message}\nStack: ${result.error.stack}` : "";
    log.write(result.error ? "error" : "information", `Function.${name}`, `Executed 'Functions.${name}' ${end}${failure}`);
    return result;
  };
  return {
    counts: () => structuredClone(counts),
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
    async execute(execution) {
      const result = withRetries(execution, attempt);
      running.add(result);
      return result.finally(() => running.delete(result));
    },
  };
}

type Attempt = (execution: Execution, retryContext?: RpcRetryContext) => Promise<FunctionResult>;

/** azure-webjobs-sdk FunctionExecutorExtensions.TryExecuteAsync: the first attempt has a retry context too, with a count of 0. */
async function withRetries(execution: Execution, attempt: Attempt): Promise<FunctionResult> {
  const policy = execution.fn.retryOptions;
  if (!policy) return attempt(execution);
  const maxRetryCount = policy.maxRetryCount ?? 0;
  let context: RpcRetryContext = { retryCount: 0, maxRetryCount };
  for (;;) {
    const result = await attempt(execution, context);
    if (result.succeeded || execution.signal?.aborted) return result;
    if (maxRetryCount !== -1 && context.retryCount === maxRetryCount) return result;
    const { message = "", stack = "" } = result.error ?? {};
    context = { retryCount: context.retryCount + 1, maxRetryCount, exception: { message, stackTrace: stack, source: "" } };
    try {
      await sleep(nextRetryDelayMs(policy, context.retryCount), undefined, { signal: execution.signal });
    } catch {
      return result;
    }
  }
}

async function tryInvoke(
  execution: Execution,
  invocationId: string,
  retryContext: RpcRetryContext | undefined,
  timeoutMs: number | undefined,
): Promise<FunctionResult> {
  try {
    const { capabilities } = await execution.worker.started();
    const { data, metadata = {} } = execution.input(capabilities);
    execution.onInvocation?.(invocationId);
    const response = await withTimeout(
      execution.worker.invoke({
        invocationId,
        functionId: execution.fn.functionId,
        inputData: [{ name: execution.bindingName, data: data ?? {} }],
        triggerMetadata: Object.fromEntries(Object.entries(metadata).flatMap(([name, value]) => (value ? [[name, value]] : []))),
        traceContext: { traceParent: "", traceState: "", attributes: {} },
        ...(retryContext && { retryContext }),
      }),
      execution,
      timeoutMs,
    );
    return { succeeded: true, response };
  } catch (error) {
    return { succeeded: false, error: error as Error };
  }
}

async function withTimeout<T>(work: Promise<T>, { fn, worker }: Execution, timeoutMs: number | undefined): Promise<T> {
  if (timeoutMs === undefined) return work;
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`Timeout value of ${timeoutMs} ms exceeded by function: Functions.${fn.name}`));
    void worker.kill();
  }, timeoutMs);
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
