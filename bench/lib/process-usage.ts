import { readFileSync } from "node:fs";

/** Ticks of a second in which Linux counts a process's time for programs. */
const TICKS_PER_SECOND = 100;

/**
 * Most memory that a process has held, in MB. Where the system does not tell it (other than Linux), that of this process and `NaN` of others:
 * Node's own `maxRSS` begins with that of the process that started it.
 */
export function peakRssMb(pid: number = process.pid): number {
  if (process.platform === "linux") {
    const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    if (kib !== undefined) return (Number(kib) * 1024) / 1e6;
  }
  return pid === process.pid ? (process.resourceUsage().maxRSS * 1024) / 1e6 : Number.NaN;
}

/** Seconds of processor time that a process has used, with its threads; `NaN` where the system does not tell (other than Linux). */
export function cpuSeconds(pid: number): number {
  if (process.platform !== "linux") return Number.NaN;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The program's name stands in brackets and may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
