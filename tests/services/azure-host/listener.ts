import type { AppSettings } from "./app-settings.ts";
import type { Executor } from "./executor.ts";
import type { HostJson } from "./host-json.ts";
import type { HostLog } from "./host-log.ts";
import type { Binding, FunctionMetadata } from "./rpc.ts";
import type { Worker } from "./worker-process.ts";

/** What a broker's listener gets: it runs one function on one instance. */
export interface ListenerContext {
  fn: FunctionMetadata;
  binding: Binding;
  worker: Worker;
  /** Of how many instances this is which, from 0. */
  instance: { index: number; count: number };
  executor: Executor;
  hostJson: HostJson;
  settings: AppSettings;
  log: HostLog;
}

export interface Listener {
  /** Takes nothing more and resolves when what it holds is through (`drain`), or leaves it as it is at once. */
  stop(how: "drain" | "abort"): Promise<void>;
}
