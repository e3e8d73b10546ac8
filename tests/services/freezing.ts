import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 2;
const WITHIN_MS = 10_000;

/**
 * Stops a process by SIGSTOP and waits until each of its threads stands still: `kill` returns before that, and a busy machine lets them go on
 * for long enough to answer.
 */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  const endMs = performance.now() + WITHIN_MS;
  while (statesOf(pid).some((state) => state !== "T")) {
    if (performance.now() > endMs) throw new Error(`stopping process ${pid}: it still runs after ${WITHIN_MS} ms`);
    await sleep(POLL_MS);
  }
}

export function thaw(pid: number): void {
  process.kill(pid, "SIGCONT");
}

/** The state letters of its threads, as proc_pid_stat(5) names them; a thread that ends meanwhile is left out. */
function statesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return [stat.charAt(stat.lastIndexOf(")") + 2)];
    } catch {
      return [];
    }
  });
}
