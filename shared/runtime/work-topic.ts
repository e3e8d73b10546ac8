import { PersistorError } from "../core/errors.ts";
import type { TopicTarget } from "../core/pipeline.ts";
import type { Ports } from "./ports.ts";

/** The topic that hands jobs from function to function. Throws PersistorError `settings_invalid`, BrokerError. */
export async function workTarget({ settings, broker }: Ports): Promise<TopicTarget> {
  const { workTopic } = settings;
  if (!workTopic) throw new PersistorError("settings_invalid", "handing a job over: there is no work topic; set PERSISTOR_WORK_TOPIC");
  return { publisher: (await broker(workTopic.broker)).publisher, topic: workTopic.topic };
}
