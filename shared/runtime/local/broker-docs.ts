import { z } from "zod";

/* For the API's description only: what is accepted is decided by wire-message.ts and wire-attributes.ts. */

const base64 = z.string().meta({ contentEncoding: "base64" });

const attributeValue = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.strictObject({ $binary: base64 }),
  z.strictObject({ $kind: z.string(), $value: base64 }).describe("A kind that JSON would not give back exactly, by its bytes."),
]);

const attributes = z
  .record(z.string(), z.union([attributeValue, z.array(attributeValue)]))
  .meta({ id: "Attributes", description: "Name to value; a list of values repeats the name." });

const shared = {
  attributes: attributes.optional(),
  orderingKey: z.string().optional().describe("Messages of one key keep their order."),
  contentType: z.string().optional(),
  key: base64.optional().describe("The record key, as Kafka knows it."),
};

const data = base64.nullable().describe("The payload; null: there is none.");

export const publishBody = z.strictObject({ messages: z.array(z.strictObject({ data: data.optional(), ...shared })) });
export const published = z.object({ messageIds: z.array(z.string()) });

export const event = z
  .strictObject({
    data: data.optional(),
    json: z.unknown().optional().describe("The payload as JSON; content type application/json."),
    text: z.string().optional().describe("The payload as UTF-8; content type text/plain."),
    ...shared,
  })
  .meta({ id: "Event", description: "Exactly one of data, json, text." });
export const accepted = z.object({ accepted: z.int() });

const message = z.object({ data, ...shared, messageId: z.string(), publishTime: z.string().meta({ format: "date-time" }) });
export const pulled = z.object({
  receivedMessages: z.array(z.object({ ackId: z.string(), message, deliveryAttempt: z.int().describe("1 for the first delivery.") })),
});
export const acknowledged = z.object({ acknowledged: z.int() });
export const modified = z.object({ modified: z.int() });

export const topics = z.object({
  topics: z.array(
    z.object({
      name: z.string(),
      messages: z.int().describe("Messages that the topic keeps, settled or not."),
      subscriptions: z.array(
        z.object({ name: z.string(), backlog: z.int(), leased: z.int(), oldest_unacked_age_ms: z.number().optional() }),
      ),
    }),
  ),
});
