import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** What can be done with a message, or a session, while an invocation has it. */
export interface MessageActions {
  complete(): Promise<void>;
  abandon(properties: Buffer): Promise<void>;
  defer(properties: Buffer): Promise<void>;
  deadLetter(properties: Buffer, reason: string | undefined, description: string | undefined): Promise<void>;
  renewLock(): Promise<void>;
}

export interface SessionActions {
  getState(): Promise<Buffer>;
  setState(state: Buffer): Promise<void>;
  /** Gives the session back after the invocation. */
  release(): void;
  /** Returns until when it is locked now. */
  renewLock(): Promise<Date>;
}

/** The service by which a function settles its messages itself; it finds them by their lock tokens, and only during the invocation. */
export interface Settlement {
  readonly port: number;
  readonly messages: Map<string, MessageActions>;
  readonly sessions: Map<string, SessionActions>;
  stop(): void;
}

const require = createRequire(import.meta.url);
const MAX_MESSAGE_BYTES = 2_147_483_647;

interface Text {
  value: string;
}

interface Requests {
  locktoken: string;
  propertiesToModify: Buffer;
  deadletterReason: Text | null;
  deadletterErrorDescription: Text | null;
  sessionId: string;
  sessionState: Buffer;
}

/** Starts the gRPC service `Settlement` on a free port (azure-sdk-for-net Microsoft.Azure.WebJobs.Extensions.ServiceBus Grpc/SettlementService.cs). */
export async function startSettlementServer(): Promise<Settlement> {
  const messages: Settlement["messages"] = new Map();
  const sessions: Settlement["sessions"] = new Map();
  const server = new grpc.Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
  const message = unaryOn(messages, ({ locktoken }) => locktoken, "LockToken");
  const session = unaryOn(sessions, ({ sessionId }) => sessionId, "SessionId");
  server.addService(loadService(), {
    Complete: message((actions) => actions.complete()),
    Abandon: message((actions, { propertiesToModify }) => actions.abandon(propertiesToModify)),
    Defer: message((actions, { propertiesToModify }) => actions.defer(propertiesToModify)),
    Deadletter: message((actions, { propertiesToModify, deadletterReason, deadletterErrorDescription }) =>
      actions.deadLetter(propertiesToModify, deadletterReason?.value, deadletterErrorDescription?.value),
    ),
    RenewMessageLock: message((actions) => actions.renewLock()),
    GetSessionState: session(async (actions) => ({ sessionState: await actions.getState() })),
    SetSessionState: session((actions, { sessionState }) => actions.setState(sessionState)),
    ReleaseSession: session(async (actions) => actions.release()),
    RenewSessionLock: session(async (actions) => ({ lockedUntil: timestampOf(await actions.renewLock()) })),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
  return { port, messages, sessions, stop: () => server.forceShutdown() };
}

/** The extension brings the service's description with it. */
function loadService(): grpc.ServiceDefinition {
  const folder = dirname(require.resolve("@azure/functions-extensions-servicebus"));
  const definition = loadSync(join(folder, "proto/settlement.proto"), { defaults: true, longs: String, enums: String });
  return (grpc.loadPackageDefinition(definition)["Settlement"] as grpc.ServiceClientConstructor).service;
}

type Unary = grpc.handleUnaryCall<Requests, object>;

/** An unknown token or session: FAILED_PRECONDITION; a broker that refuses: UNKNOWN. */
function unaryOn<Actions>(known: Map<string, Actions>, keyOf: (request: Requests) => string, what: string) {
  return (act: (actions: Actions, request: Requests) => Promise<unknown>): Unary =>
    ({ request }, answer) => {
      const key = keyOf(request);
      const actions = known.get(key);
      if (!actions) return answer({ code: grpc.status.FAILED_PRECONDITION, details: `${what} ${key} not found.` });
      act(actions, request).then(
        (result) => answer(null, (result as object | undefined) ?? {}),
        (error: Error) => answer({ code: grpc.status.UNKNOWN, details: String(error) }),
      );
    };
}

const timestampOf = (date: Date) => ({ seconds: Math.floor(date.getTime() / 1000), nanos: (date.getTime() % 1000) * 1_000_000 });
