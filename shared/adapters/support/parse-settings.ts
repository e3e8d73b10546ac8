import type { z } from "zod";
import { type ErrorCode, PersistorError } from "../../core/errors.ts";

/** An adapter's settings, checked; `doing` in the gerund ("opening Pub/Sub"). Throws `Failure`, by default PersistorError, `settings_invalid` naming each fault. */
export function parseSettings<T extends z.ZodType>(
  schema: T,
  settings: unknown,
  doing: string,
  Failure: new (code: ErrorCode, message: string) => PersistorError = PersistorError,
): z.output<T> {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Failure("settings_invalid", `${doing}: ${faults.join("; ")}`);
}
