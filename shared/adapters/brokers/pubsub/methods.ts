import { protos } from "@google-cloud/pubsub";

const { AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PublishResponse, StreamingPullRequest, StreamingPullResponse } =
  protos.google.pubsub.v1;
const { Empty } = protos.google.protobuf;

/**
 * A method of Pub/Sub's gRPC services with its codec. The generated static codec is used, not the client's own: that one makes every message
 * twice, as a class and as a plain object, and loses an attribute named `__proto__`.
 */
export interface Method<Request, Response> {
  readonly path: string;
  /** The field of the request that tells Pub/Sub's front end where to route it. */
  readonly routedBy: "topic" | "subscription";
  encode(request: Request): Buffer;
  decode(bytes: Buffer): Response;
}

export type PublishRequestFields = protos.google.pubsub.v1.IPublishRequest;
export type AckRequestFields = protos.google.pubsub.v1.IModifyAckDeadlineRequest;
export type PullRequestFields = protos.google.pubsub.v1.IStreamingPullRequest;
export type PubsubMessageFields = protos.google.pubsub.v1.IPubsubMessage;
export type ReceivedFields = protos.google.pubsub.v1.IReceivedMessage;
export type PullResponse = protos.google.pubsub.v1.StreamingPullResponse;

/** Sends messages to a topic. */
export const publish: Method<PublishRequestFields, string[]> = {
  path: "/google.pubsub.v1.Publisher/Publish",
  routedBy: "topic",
  encode: (request) => bufferOf(PublishRequest.encode(request).finish()),
  decode: (bytes) => PublishResponse.decode(bytes).messageIds,
};

/** Ends deliveries for good. */
export const acknowledge: Method<AckRequestFields, unknown> = {
  path: "/google.pubsub.v1.Subscriber/Acknowledge",
  routedBy: "subscription",
  encode: ({ subscription, ackIds }) => bufferOf(AcknowledgeRequest.encode({ subscription, ackIds }).finish()),
  decode: (bytes) => Empty.decode(bytes),
};

/** Sets when leases end, from now. */
export const modifyAckDeadline: Method<AckRequestFields, unknown> = {
  path: "/google.pubsub.v1.Subscriber/ModifyAckDeadline",
  routedBy: "subscription",
  encode: (request) => bufferOf(ModifyAckDeadlineRequest.encode(request).finish()),
  decode: (bytes) => Empty.decode(bytes),
};

/** Delivers messages for as long as the stream is open. */
export const streamingPull: Method<PullRequestFields, PullResponse> = {
  path: "/google.pubsub.v1.Subscriber/StreamingPull",
  routedBy: "subscription",
  encode: (request) => bufferOf(StreamingPullRequest.encode(request).finish()),
  decode: (bytes) => StreamingPullResponse.decode(bytes),
};

/** gRPC takes a Buffer. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
