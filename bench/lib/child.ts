import { fork } from "node:child_process";
import { compileCache } from "./start-command.ts";

/** Tells how far a bench is. */
export type Progress = (text: string) => void;

/** What a module that runs in a process of its own exports as `measure`. */
export type Measure<A, R> = (argument: A, progress: Progress) => Promise<R>;

export type FromChild = { progress: string } | { result: unknown } | { error: string };

const CHILD_MAIN = new URL("./child-main.ts", import.meta.url);

/**
 * Runs `measure` of a module in a process of its own, so that neither the heap nor the code of one bench is warmed or filled by another.
 * `flags` are Node's.
 * Argument and result are JSON. Throws what the module threw.
 */
export function runChild<A, R>(module: URL, argument: A, progress: Progress, flags: readonly string[] = []): Promise<R> {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD_MAIN, [], {
      execArgv: [...process.execArgv, ...flags],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache() },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const end = () => child.kill();
    process.once("exit", end);
    let done = false;
    child.on("message", (message: FromChild) => {
      if ("progress" in message) return progress(message.progress);
      done = true;
      if ("result" in message) resolve(message.result as R);
      else reject(new Error(message.error));
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      process.off("exit", end);
      if (!done) reject(new Error(`running ${module.pathname}: the process ended with ${signal ?? code} and gave no result`));
    });
    child.send({ module: module.href, argument });
  });
}
