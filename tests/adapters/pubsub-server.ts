import { protos } from "@google-cloud/pubsub";
import { grpc } from "google-gax";

const v1 = protos.google.pubsub.v1;
const { Empty } = protos.google.protobuf;

export type PublishRequest = protos.google.pubsub.v1.PublishRequest;
export type AcknowledgeRequest = protos.google.pubsub.v1.AcknowledgeRequest;

/** How the server answers; what a handler throws with a `code` becomes the call's status. Handlers may wait. */
export interface Answers {
  publish?(request: PublishRequest): Promise<string[]> | string[];
  acknowledge?(request: AcknowledgeRequest): void;
}

/** A gRPC server in the place of Pub/Sub, for answers that the emulator never gives. */
export async function startPubsubServer(answers: Answers): Promise<{ host: string; stop(): Promise<void> }> {
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  const unary = <Request, Response>(path: string, decode: (bytes: Buffer) => Request, encode: (answer: Response) => Uint8Array) => ({
    path,
    requestStream: false as const,
    responseStream: false as const,
    requestDeserialize: decode,
    requestSerialize: () => Buffer.alloc(0),
    responseSerialize: (answer: Response) => Buffer.from(encode(answer)),
    responseDeserialize: () => undefined as Response,
  });
  const publish = unary(
    "/google.pubsub.v1.Publisher/Publish",
    (b) => v1.PublishRequest.decode(b),
    (ids: string[]) => v1.PublishResponse.encode({ messageIds: ids }).finish(),
  );
  const acknowledge = unary(
    "/google.pubsub.v1.Subscriber/Acknowledge",
    (b) => v1.AcknowledgeRequest.decode(b),
    () => Empty.encode({}).finish(),
  );
  server.addService(
    { publish, acknowledge },
    {
      publish: handler(async (request: PublishRequest) => (await answers.publish?.(request)) ?? []),
      acknowledge: handler(async (request: AcknowledgeRequest) => answers.acknowledge?.(request)),
    },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  return { host: `127.0.0.1:${await promise}`, stop: async () => server.forceShutdown() };
}

function handler<Request, Response>(answer: (request: Request) => Promise<Response>): grpc.handleUnaryCall<Request, Response> {
  return ({ request }, done) => {
    answer(request).then(
      (value) => done(null, value),
      (error) => done(error),
    );
  };
}

/** What a handler throws to fail its call. */
export function failure(code: keyof typeof grpc.status, metadata = new grpc.Metadata()): Error {
  return Object.assign(new Error(code), { code: grpc.status[code], details: `the server said ${code}`, metadata });
}
