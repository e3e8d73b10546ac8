import * as z from "zod";

/** Settings of the index `mongodb`. */
export const mongodbSettings = z.strictObject({
  uri: z
    .string({ error: "must be set: PERSISTOR_MONGODB_URI, mongodb://… or mongodb+srv://…" })
    .regex(/^mongodb(\+srv)?:\/\//, "must start with mongodb:// or mongodb+srv://"),
  database: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,38}$/, "must be 1 to 38 letters, digits, dashes and underscores")
    .default("persistor"),
});
