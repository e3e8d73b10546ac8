import { z } from "zod";

/** A problem document, as described. */
export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe("What is wrong and what helps."),
    instance: z.string().describe("The request's id."),
    errors: z.unknown().optional().describe("Each place that is wrong, as `{path, message}`."),
  })
  .meta({ id: "Problem", description: "A problem document of RFC 9457." });

export const REQUEST_ID_DOC = { description: "The request's id.", schema: { type: "string" } };
