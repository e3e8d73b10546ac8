import { errorText, InvalidInput } from "../../core/errors.ts";
import { payloadContent } from "../../core/message.ts";
import type { TopicTarget } from "../../core/pipeline.ts";
import { isFinal } from "../../core/resubmit/jobs.ts";
import type { Composition } from "../compose.ts";
import { driveAny } from "./drive-any.ts";
import type { JobDriver } from "./driver.ts";

const MESSAGE_VERSION = 1;

/** Hands jobs to whoever reads the work topic: for processes that must leave nothing running behind an answer. */
export function handedOver(composition: Composition, workTopic: () => Promise<TopicTarget>): JobDriver {
  const start = async (id: string) => {
    const { publisher, topic } = await workTopic();
    const payload = Buffer.from(JSON.stringify({ v: MESSAGE_VERSION, job: id }));
    const [outcome] = await publisher.publish(topic, [payloadContent(payload)]);
    if (!outcome?.ok) throw outcome?.error;
  };
  return {
    start,
    async work(id, limitMs, signal) {
      const timeIsOver = new AbortController();
      const timer = setTimeout(() => timeIsOver.abort(), limitMs);
      try {
        const job = await driveAny(id, composition, AbortSignal.any([signal, timeIsOver.signal]));
        if (job && isFinal(job)) return job;
        // Nobody can ever end a job that is not there.
        if (!job && (await composition.jobs.get(id)) === undefined) {
          composition.log.error("there is no such job", { job: id });
          return undefined;
        }
      } finally {
        clearTimeout(timer);
      }
      await start(id);
      return undefined;
    },
  };
}

/** The id of the job that a work message names. Throws InvalidInput. */
export function jobOfWorkMessage(payload: Uint8Array): string {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch (cause) {
    throw new InvalidInput(`reading a work message: ${errorText(cause)}`, [], { cause });
  }
  const { v, job } = (value ?? {}) as { v?: unknown; job?: unknown };
  if (v !== MESSAGE_VERSION || typeof job !== "string" || job === "") throw new InvalidInput("reading a work message: it names no job");
  return job;
}
