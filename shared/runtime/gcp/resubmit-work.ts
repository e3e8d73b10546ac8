import type { HttpFunction } from "@google-cloud/functions-framework";
import { errorText } from "../../core/errors.ts";
import { composed } from "../compose.ts";
import type { FunctionProcess } from "../function-process.ts";
import { HttpError } from "../http/problem.ts";
import { handedOver, jobOfWorkMessage } from "../jobs/handed-over.ts";
import { sweep } from "../jobs/sweep.ts";
import { openedOnce } from "../opened-once.ts";
import { workTarget } from "../work-topic.ts";
import { type TriggerReply, type TriggerRequest, triggerHandler } from "./handler.ts";
import { readPush } from "./push-source.ts";

const NAME = "resubmit-work";
const SWEEP = "sweep";
/** Pub/Sub pushes again what is not answered within 10 minutes. */
const DRIVE_MS = 8 * 60_000;
const LIMIT_MS = 9.5 * 60_000;

/** Works the jobs that the work topic names; a scheduler's POST to `/resubmit-work/sweep` takes up those that nobody works. */
export function resubmitWork(process: FunctionProcess): HttpFunction {
  const open = openedOnce(async () => {
    const composition = await composed(process);
    return { composition, driver: handedOver(composition, () => workTarget(process)) };
  });

  const work = async (request: TriggerRequest): Promise<TriggerReply> => {
    const topic = process.settings.workTopic?.topic ?? "";
    const pushed = readPush(request, { id: topic, topic }, process.clock.nowMs());
    const id = "message" in pushed ? readJob(pushed.message.payload, process) : undefined;
    // What names no job never will: there is nothing in it to lose.
    if (id === undefined) return { status: 204 };
    const { driver } = await open();
    await process.runLong((stopping) => driver.work(id, DRIVE_MS, stopping));
    return { status: 204 };
  };

  return triggerHandler(process, { name: NAME, limitMs: LIMIT_MS }, async (request) => {
    if (request.method !== "POST") throw new HttpError(405, "work is handed over by POST", { headers: { allow: "POST" } });
    if (request.segments[0] !== SWEEP) return work(request);
    const { composition, driver } = await open();
    return { status: 200, body: { taken_up: await sweep(composition, driver) } };
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
