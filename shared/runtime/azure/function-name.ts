import { sha256Hex } from "../../core/digest.ts";

const FOREIGN = /[^A-Za-z0-9_-]/g;
/** Azure takes 127 characters, and does not tell capital letters from small ones. */
const PLAIN = /^[a-z0-9_-]{1,80}$/;
const KEPT_CHARACTERS = 80;

/** Name of a function that handles a pipeline: letters, digits, `-` and `_`. Pipelines whose names differ in other characters alone share it. */
export function functionName(step: string, pipeline: string): string {
  return `${step}-${pipeline.replaceAll(FOREIGN, "_")}`;
}

/** Name of a function that handles a topic, whose name may be longer than a function's: such a one, and one with other characters, ends in a hash. */
export function topicFunctionName(step: string, topic: string): string {
  if (PLAIN.test(topic)) return functionName(step, topic);
  return functionName(step, `${topic.slice(0, KEPT_CHARACTERS)}-${sha256Hex(topic).slice(0, 8)}`);
}
