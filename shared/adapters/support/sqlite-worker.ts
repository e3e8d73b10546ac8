import { existsSync } from "node:fs";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { type ErrorCode, errorText, PersistorError } from "../../core/errors.ts";

/**
 * A database that lives in a worker thread, so that its synchronous calls never block the event loop.
 * Calls are worked one after the other, in the order they were made.
 */
export interface SqliteWorker {
  /** Runs `method` in the worker. `transfer` moves buffers instead of copying them. Throws what the method threw, code and all. */
  call<T>(method: string, argument?: unknown, transfer?: readonly ArrayBuffer[]): Promise<T>;
  /** Lets running calls end, then ends the worker. */
  close(): Promise<void>;
}

/** What a worker script serves: functions by name, and how to end. */
export interface WorkerMethods {
  methods: Record<string, (argument: never) => unknown>;
  close(): void;
}

interface CallMessage {
  id: number;
  method: string;
  argument: unknown;
}

interface FailureMessage {
  code?: ErrorCode;
  retryable?: boolean;
  message: string;
}

type ReplyMessage = { id: number; result: unknown } | { id: number; failure: FailureMessage };

/** A result whose buffers are to be moved to the caller instead of copied. */
export class Moved {
  readonly result: unknown;
  readonly buffers: readonly ArrayBuffer[];
  constructor(result: unknown, buffers: readonly ArrayBuffer[]) {
    this.result = result;
    this.buffers = buffers;
  }
}

export interface SqliteWorkerOptions {
  /** `import.meta.url` of the caller. */
  from: string;
  /** The worker's script beside the caller, without its extension (`./worker`). */
  script: string;
  /** Given to the script. */
  data: unknown;
  /** Code of the error that calls throw when the worker has died. */
  unavailable: ErrorCode;
  maxOldSpaceMb?: number;
}

const CLOSE_METHOD = "close";
/** What a call leaves behind is garbage at once; a small nursery keeps several workers from holding a hundred megabytes of it. */
const YOUNG_SPACE_MB = 6;

/** Starts a worker and waits until its script serves; throws what opening the database threw. */
export async function startSqliteWorker(options: SqliteWorkerOptions): Promise<SqliteWorker> {
  const worker = new Worker(siblingScript(options.from, options.script), {
    workerData: options.data,
    resourceLimits: { maxOldGenerationSizeMb: options.maxOldSpaceMb ?? 256, maxYoungGenerationSizeMb: YOUNG_SPACE_MB },
  });
  const pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let nextId = 0;
  let death: PersistorError | undefined;

  const fail = (cause: unknown) => {
    death = new PersistorError(
      options.unavailable,
      `running the database worker ${options.script}: ${errorText(cause)}; restart the process`,
      {
        retryable: true,
        cause,
      },
    );
    for (const call of pending.values()) call.reject(death);
    pending.clear();
  };
  worker.on("message", (reply: ReplyMessage) => {
    const call = pending.get(reply.id);
    pending.delete(reply.id);
    if (pending.size === 0) worker.unref();
    if ("failure" in reply) call?.reject(revive(reply.failure, options.unavailable));
    else call?.resolve(reply.result as never);
  });
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`the worker ended with code ${code}`)));

  const call = <T>(method: string, argument?: unknown, transfer: readonly ArrayBuffer[] = []): Promise<T> => {
    if (death) return Promise.reject(death);
    const id = nextId++;
    worker.ref();
    return new Promise<T>((resolve, reject) => {
      pending.set(id, { resolve, reject });
      worker.postMessage({ id, method, argument } satisfies CallMessage, [...transfer]);
    });
  };
  await call("ready");
  return {
    call,
    async close() {
      if (death) return;
      await call(CLOSE_METHOD);
      await worker.terminate();
    },
  };
}

/** Serves `open`'s methods to the thread that started this worker. To be called once by a worker's script. */
export function serveSqliteWorker(open: (data: never) => WorkerMethods): void {
  const port = parentPort;
  if (!port) throw new Error("serving a database worker: this script runs only as a worker thread");
  let served: WorkerMethods | undefined;
  port.on("message", ({ id, method, argument }: CallMessage) => {
    try {
      served ??= open(workerData as never);
      const result = run(served, method, argument);
      if (result instanceof Moved) port.postMessage({ id, result: result.result } satisfies ReplyMessage, [...result.buffers]);
      else port.postMessage({ id, result } satisfies ReplyMessage);
    } catch (error) {
      port.postMessage({ id, failure: describe(error) } satisfies ReplyMessage);
    }
  });
}

function run(served: WorkerMethods, method: string, argument: unknown): unknown {
  if (method === "ready") return undefined;
  if (method === CLOSE_METHOD) return served.close();
  const found = served.methods[method];
  if (!found) throw new Error(`calling a database worker: it has no method ${method}`);
  return found(argument as never);
}

function describe(error: unknown): FailureMessage {
  if (error instanceof PersistorError) return { code: error.code, retryable: error.retryable, message: error.message };
  return { message: errorText(error) };
}

function revive(failure: FailureMessage, unavailable: ErrorCode): Error {
  return new PersistorError(failure.code ?? unavailable, failure.message, { retryable: failure.retryable ?? true });
}

/** The script beside the caller: `.ts` when run from source, `.js` when built. */
function siblingScript(from: string, script: string): URL {
  const source = new URL(`${script}.ts`, from);
  return existsSync(source) ? source : new URL(`${script}.js`, from);
}
