import { z } from "zod";
import type { EmbeddedBroker } from "../../adapters/brokers/embedded/adapter.ts";
import { InvalidInput } from "../../core/errors.ts";
import type { Caller } from "../auth/authorize.ts";
import { HttpError } from "../http/problem.ts";
import { defineRoute, type Route } from "../http/route.ts";
import { topicSchema } from "../settings/pipelines.ts";
import * as docs from "./broker-docs.ts";
import { publishLines } from "./publish-lines.ts";
import { fault, isObject } from "./wire-attributes.ts";
import { publishedMessage, receivedMessage } from "./wire-message.ts";

const TAGS = ["Broker"];
const MAX_PUBLISHED = 1000;
const MAX_PULLED = 1000;
const DEFAULT_PULLED = 100;
const MAX_ACK_DEADLINE_S = 600;

const topicParams = z.strictObject({ topic: topicSchema.describe("The topic's name.") });
const subscriptionParams = topicParams.extend({ name: topicSchema.describe("The subscription's name.") });
const ackIds = z
  .array(z.string("must be text"), "must be a list of ack ids")
  .describe("As pulled; those whose lease is over are passed over.");

const pullBody = z.strictObject({
  maxMessages: z
    .int("must be a whole number")
    .min(1, "must be at least 1")
    .max(MAX_PULLED, `must be at most ${MAX_PULLED}`)
    .default(DEFAULT_PULLED)
    .describe("Messages at most."),
});
const acknowledgeBody = z.strictObject({ ackIds });
const deadlineBody = z.strictObject({
  ackIds,
  ackDeadlineSeconds: z
    .int("must be a whole number")
    .min(0, "must not be negative")
    .max(MAX_ACK_DEADLINE_S, `must be at most ${MAX_ACK_DEADLINE_S}`)
    .describe("Seconds from now until the messages come again; 0: at once."),
});

/** The embedded broker's verbs, as Pub/Sub users know them, and NDJSON for bulk loads; to be mounted at the root of the local host. */
export function brokerRoutes(broker: EmbeddedBroker): Route[] {
  return [...publishingRoutes(broker), ...subscriptionRoutes(broker), topicsRoute(broker)];
}

function publishingRoutes(broker: EmbeddedBroker): Route[] {
  const publish = defineRoute({
    method: "POST",
    path: "/topics/{topic}:publish",
    operationId: "publish",
    summary: "Publish messages",
    description: "A topic that does not exist is created.",
    tags: TAGS,
    params: topicParams,
    body: z.unknown(),
    bodyDoc: docs.publishBody,
    responses: { 200: { description: "All are durable.", schema: docs.published } },
    async handler({ params: { topic }, body, caller }) {
      checkPublish(topic, caller);
      const messages = messagesOf(body).map((message, i) => publishedMessage(message, `messages[${i}]`));
      const outcomes = await broker.publisher.publish(topic, messages);
      const messageIds = outcomes.map((outcome) => {
        if (outcome.ok) return outcome.messageId;
        throw outcome.error;
      });
      return { body: { messageIds } };
    },
  });

  const events = defineRoute({
    method: "POST",
    path: "/topics/{topic}/events",
    operationId: "publishEvents",
    summary: "Publish one message for each line of NDJSON, in order, any number of them",
    description:
      "Answered once all are durable. At the first line that cannot be taken it stops: the lines before it are published, and the problem document names the line and says in `accepted` how many they are. Numbers in `json` are those of JavaScript; where their digits must stay, send `text` or `data`.",
    tags: TAGS,
    params: topicParams,
    stream: { description: "One event a line.", schema: docs.event },
    limitMs: null,
    responses: { 200: { description: "All are durable.", schema: docs.accepted } },
    async handler({ params: { topic }, chunks, caller }) {
      checkPublish(topic, caller);
      return { body: { accepted: await publishLines(chunks, topic, broker.publisher) } };
    },
  });
  return [publish, events];
}

function subscriptionRoutes(broker: EmbeddedBroker): Route[] {
  const shared = { method: "POST", tags: TAGS, params: subscriptionParams, access: "admin" } as const;
  const pull = defineRoute({
    ...shared,
    path: "/topics/{topic}/subscriptions/{name}:pull",
    operationId: "pull",
    summary: "Take messages; what is not acknowledged in time comes again",
    description:
      "Waits up to a second for a first message. A subscription is created at its first pull and starts with what the topic still keeps.",
    body: pullBody,
    responses: { 200: { description: "What there was, maybe nothing.", schema: docs.pulled } },
    async handler({ params: { topic, name }, body: { maxMessages } }) {
      const deliveries = await broker.pull(topic, name, maxMessages);
      return { body: { receivedMessages: deliveries.map(receivedMessage) } };
    },
  });

  const acknowledge = defineRoute({
    ...shared,
    path: "/topics/{topic}/subscriptions/{name}:acknowledge",
    operationId: "acknowledge",
    summary: "End messages for good",
    body: acknowledgeBody,
    responses: { 200: { description: "How many were still this subscription's to end.", schema: docs.acknowledged } },
    handler: async ({ params: { topic, name }, body }) => ({ body: { acknowledged: await broker.acknowledge(topic, name, body.ackIds) } }),
  });

  const modifyAckDeadline = defineRoute({
    ...shared,
    path: "/topics/{topic}/subscriptions/{name}:modifyAckDeadline",
    operationId: "modifyAckDeadline",
    summary: "Keep messages longer, or give them back",
    body: deadlineBody,
    responses: { 200: { description: "How many were still this subscription's to keep.", schema: docs.modified } },
    handler: async ({ params: { topic, name }, body }) => ({
      body: { modified: await broker.modifyAckDeadline(topic, name, body.ackIds, body.ackDeadlineSeconds) },
    }),
  });
  return [pull, acknowledge, modifyAckDeadline];
}

function topicsRoute(broker: EmbeddedBroker): Route {
  return defineRoute({
    method: "GET",
    path: "/topics",
    operationId: "listTopics",
    summary: "The topics and their subscriptions",
    tags: TAGS,
    access: "admin",
    responses: { 200: { description: "The topics by name.", schema: docs.topics } },
    handler: async () => ({ body: { topics: await broker.topics() } }),
  });
}

function messagesOf(body: unknown): readonly unknown[] {
  if (!isObject(body)) throw fault("", 'must be an object: {"messages": […]}');
  for (const name of Object.keys(body)) if (name !== "messages") throw fault(name, "is unknown here; the body is messages");
  const { messages } = body;
  if (Array.isArray(messages) && messages.length >= 1 && messages.length <= MAX_PUBLISHED) return messages;
  const message = `must be a list of 1 to ${MAX_PUBLISHED} messages`;
  throw new InvalidInput(`reading the body: messages ${message}`, [{ path: "messages", message }]);
}

function checkPublish(topic: string, caller: Caller): void {
  if (!caller.canPublish(topic)) throw new HttpError(403, `publishing to ${topic} was not granted to this caller`);
}
