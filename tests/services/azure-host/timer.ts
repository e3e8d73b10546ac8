import { dateTimeOffsetText, jsonOf } from "./dotnet.ts";
import type { Executor } from "./executor.ts";
import type { HostLog } from "./host-log.ts";
import { parseSchedule } from "./ncrontab.ts";
import type { FunctionMetadata } from "./rpc.ts";
import type { Worker } from "./worker-process.ts";

export interface TimerFunction {
  fn: FunctionMetadata;
  bindingName: string;
  schedule: string;
  runOnStartup: boolean;
}

export interface TimerOptions {
  target: TimerFunction;
  executor: Executor;
  log: HostLog;
  worker: Worker;
  /** False: it runs on demand alone. */
  isScheduled: boolean;
}

export interface TimerListener {
  /** As the admin API does. */
  runNow(): void;
  /** Resolves when it does not run any more. */
  stop(): Promise<void>;
}

const NEVER_RAN = "0001-01-01T00:00:00+00:00";
const MAX_TIMER_MS = 2_000_000_000;

/** webjobs-sdk-extensions TimerListener: a planned run begins after the end of the one before, and one that fails is not repeated. */
export function startTimer({ target, executor, log, worker, isScheduled }: TimerOptions): TimerListener {
  const schedule = parseSchedule(target.schedule);
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let isStopped = false;
  let status = { Last: NEVER_RAN, Next: dateTimeOffsetText(schedule.next(Date.now())), LastUpdated: NEVER_RAN };
  const run = () => {
    const info = { Schedule: { AdjustForDST: true }, ScheduleStatus: status, IsPastDue: false };
    return executor.execute({ fn: target.fn, bindingName: target.bindingName, worker, input: () => ({ data: jsonOf(info) }) });
  };
  const runPlanned = async (dueMs: number) => {
    const startedAt = Math.max(dueMs, Date.now());
    await run();
    const last = dateTimeOffsetText(startedAt);
    status = { Last: last, Next: dateTimeOffsetText(schedule.next(startedAt)), LastUpdated: last };
    plan(schedule.next(Math.max(dueMs, Date.now())));
  };
  const plan = (dueMs: number) => {
    if (isStopped) return;
    const waitMs = Math.max(dueMs - Date.now(), 0);
    const next = waitMs > MAX_TIMER_MS ? () => plan(dueMs) : () => (running = runPlanned(dueMs));
    timer = setTimeout(next, Math.min(waitMs, MAX_TIMER_MS));
  };
  if (isScheduled) {
    log.write("information", "Host.Triggers.Timer", `The next occurrence of '${target.fn.name}' (${target.schedule}) is ${status.Next}.`);
    plan(target.runOnStartup ? Date.now() : schedule.next(Date.now()));
  }
  return {
    runNow: () => void run(),
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
