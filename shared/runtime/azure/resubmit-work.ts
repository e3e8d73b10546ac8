import { app } from "@azure/functions";
import type { Clock } from "../../core/clock.ts";
import { mapConcurrently } from "../../core/concurrency.ts";
import { errorText } from "../../core/errors.ts";
import type { Message } from "../../core/message.ts";
import type { Outcome } from "../../core/persist/persist.ts";
import { composed } from "../compose.ts";
import type { FunctionProcess } from "../function-process.ts";
import { handedOver, jobOfWorkMessage } from "../jobs/handed-over.ts";
import { sweep } from "../jobs/sweep.ts";
import { openedOnce } from "../opened-once.ts";
import { workTarget } from "../work-topic.ts";
import { functionName } from "./function-name.ts";
import type { Reading } from "./readings.ts";

const WORKER_SUBSCRIPTION = "persistor-worker";
/** Every five minutes. */
const SWEEP_SCHEDULE = "0 */5 * * * *";
/** Within the time that host.json gives a function: 10 minutes. */
const DRIVE_MS = 8 * 60_000;
const JOBS_AT_ONCE = 4;
const STORED: Outcome = { kind: "stored" };

/** What the worker of resubmission jobs reads; empty where there is no work topic. */
export function workReadings(process: FunctionProcess): Reading[] {
  const { workTopic } = process.settings;
  if (!workTopic) return [];
  const { broker, topic } = workTopic;
  const open = jobsOf(process);
  const handleOne = async (message: Message, limitMs: number): Promise<Outcome> => {
    const id = readJob(message.payload, process);
    // What names no job never will: there is nothing in it to lose.
    if (id === undefined) return STORED;
    const { driver } = await open();
    await process.runLong((stopping) => driver.work(id, limitMs, stopping));
    return STORED;
  };
  const name = functionName("resubmit", "work");
  return [
    {
      name,
      broker,
      id: topic,
      topic,
      subscription: WORKER_SUBSCRIPTION,
      isLongWork: true,
      handle: workedTogether(process.clock, handleOne),
    },
  ];
}

/** Works a batch's messages, some at a time, within the time of one function: each gets what is left of it, and hands over again what it leaves. */
export function workedTogether(
  clock: Clock,
  handleOne: (message: Message, limitMs: number) => Promise<Outcome>,
): (messages: readonly Message[]) => Promise<Outcome[]> {
  return (messages) => {
    const endMs = clock.nowMs() + DRIVE_MS;
    const released = (error: Error): Outcome => ({ kind: "released", error });
    return mapConcurrently(messages, JOBS_AT_ONCE, (message) => handleOne(message, Math.max(0, endMs - clock.nowMs())).catch(released));
  };
}

/** Registers the timer that takes up jobs which nobody works. */
export function registerSweep(process: FunctionProcess): void {
  const open = jobsOf(process);
  app.timer(functionName("resubmit", "sweep"), {
    schedule: SWEEP_SCHEDULE,
    async handler(): Promise<void> {
      const { composition, driver } = await open();
      const count = await sweep(composition, driver);
      if (count > 0) process.log.info("took up jobs that nobody worked", { count });
    },
  });
}

function jobsOf(process: FunctionProcess) {
  return openedOnce(async () => {
    const composition = await composed(process);
    return { composition, driver: handedOver(composition, () => workTarget(process)) };
  });
}

function readJob(payload: Uint8Array, { log }: FunctionProcess): string | undefined {
  try {
    return jobOfWorkMessage(payload);
  } catch (error) {
    log.error("a work message names no job", { error: errorText(error) });
    return undefined;
  }
}
