import * as z from "zod";

/** Settings of a store of kind `fs`. */
export const fsStoreSettings = z.strictObject({
  dir: z
    .string()
    .min(1)
    .optional()
    .describe("The folder that holds the objects; made where it is missing. Default: `objects` in the data folder."),
});
