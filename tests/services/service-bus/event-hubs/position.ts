import type { AmqpError } from "../rhea-server.ts";

/** Where a receiver begins to read. */
export type Position =
  | { by: "latest" }
  | { by: "offset" | "sequence"; value: number; isInclusive: boolean }
  /** After that time. */
  | { by: "time"; afterMs: number };

const EXPRESSION = /^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'([^']*)'\s*$/;
const LATEST = "@latest";

/** Reads the selector that a receiver's source carries. */
export function parsePosition(selector: string): Position | { error: AmqpError } {
  const [, annotation, comparison, text] = EXPRESSION.exec(selector) ?? [];
  if (annotation === undefined || text === undefined) return invalid(`The selector '${selector}' is not understood.`);
  if (annotation === "offset" && text === LATEST) return { by: "latest" };
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value)) return invalid(`The position '${text}' is not a number.`);
  if (annotation === "enqueued-time") return { by: "time", afterMs: comparison === ">=" ? value - 1 : value };
  return { by: annotation === "offset" ? "offset" : "sequence", value, isInclusive: comparison === ">=" };
}

export const invalid = (description: string): { error: AmqpError } => ({
  error: { condition: "com.microsoft:argument-error", description },
});
