import { z } from "zod";

/** A registry's keys, for `z.enum`. */
export const names = <K extends string>(registry: Record<K, unknown>) => Object.keys(registry) as [K, ...K[]];

export const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    "must start with a letter or digit and hold at most 100 letters, digits, dots, dashes and underscores",
  );
