import { z } from "zod";
import { timeOrFault } from "../../core/filter/time.ts";

/*
 * Schemas of query parameters: they take the parameter's text and give its value. `.meta` describes what they give, which is what the API's
 * description shows.
 */

const INTEGER = /^-?\d{1,15}$/;

/** A whole number in decimal digits, `min` to `max`. */
export function integerParameter(min: number, max: number) {
  const whole = z.transform((text: unknown, context) => {
    if (typeof text === "string" && INTEGER.test(text)) return Number(text);
    context.issues.push({ code: "custom", input: text, message: "must be a whole number" });
    return z.NEVER;
  });
  return z.pipe(whole, integerField(min, max));
}

/** The same number where it stands in a body. */
export function integerField(min: number, max: number) {
  const fault = `must be a whole number from ${min} to ${max}`;
  return z.int(fault).min(min, fault).max(max, fault);
}

/** `true` or `false`. */
export function booleanParameter() {
  const flag = z.transform((text: unknown, context) => {
    if (text === "true" || text === "false") return text === "true";
    context.issues.push({ code: "custom", input: text, message: "must be true or false" });
    return z.NEVER;
  });
  return z.pipe(flag, z.boolean());
}

/** A time in RFC 3339, as milliseconds since 1970. */
export function timeParameter() {
  const time = z.transform((text: unknown, context) => {
    const ms = typeof text === "string" ? timeOrFault(text) : "must be a time as text";
    if (typeof ms === "number") return ms;
    context.issues.push({ code: "custom", input: text, message: ms });
    return z.NEVER;
  });
  return z.pipe(time, z.number()).meta({ type: "string", format: "date-time" });
}
