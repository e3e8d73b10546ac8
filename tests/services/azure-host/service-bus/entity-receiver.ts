import rhea from "rhea";
import type { AmqpConnection } from "../amqp/connection.ts";
import { createInbox } from "../amqp/inbox.ts";
import { openRawReceiver, type RawReceiver } from "../amqp/raw-receiver.ts";
import type { Reply, Requester } from "../amqp/requests.ts";
import { lockUuid, type ReceivedMessage, receivedMessage } from "./received.ts";

/** Receives from one queue, subscription or session. */
export interface EntityReceiver {
  /** Undefined: no session. */
  readonly session: SessionLock | undefined;
  /** Waits up to `waitMs` for a first message, and takes with it what else comes within 20 ms; nothing when `signal` is aborted. */
  receive(max: number, waitMs: number, signal: AbortSignal): Promise<ReceivedMessage[]>;
  /** Renews a message's lock; returns until when it holds. */
  renewLock(message: ReceivedMessage): Promise<number>;
  readonly closed: Promise<void>;
  close(): void;
}

export interface SessionLock {
  readonly id: string;
  getState(): Promise<Buffer>;
  setState(state: Buffer): Promise<void>;
  /** Returns until when the session is locked. */
  renew(): Promise<number>;
}

export interface EntityReceiverSetup {
  connection: AmqpConnection;
  entity: string;
  prefetchCount: number;
  /** True: the next free session, for which the broker is asked to wait `waitMs`. */
  isSession: boolean;
  waitMs: number;
}

const SESSION_FILTER = "com.microsoft:session-filter";
const TIMEOUT_PROPERTY = "com.microsoft:timeout";
const UUID_CODE = 0x98;

/** Opens a receiver. Throws; where no session is free in time, with the condition `com.microsoft:timeout`. */
export async function openEntityReceiver(setup: EntityReceiverSetup): Promise<EntityReceiver> {
  const { connection, entity, prefetchCount, isSession, waitMs } = setup;
  await connection.authorize(entity);
  const inbox = createInbox<ReceivedMessage>(prefetchCount);
  const link = await openRawReceiver({
    connection,
    address: entity,
    isSettled: true,
    ...(isSession && {
      filter: { [SESSION_FILTER]: null },
      properties: { [TIMEOUT_PROPERTY]: rhea.types.wrap_uint(waitMs) },
    }),
    onDelivery: (delivery) => inbox.put(receivedMessage(delivery)),
  });
  let management: Promise<Requester> | undefined;
  const ask = async (operation: string, body: unknown) => {
    management ??= connection.requester(`${entity}/$management`);
    return replyOf(await (await management).request({ operation: `com.microsoft:${operation}` }, body), operation);
  };
  return {
    session: isSession ? sessionLock(sessionIdOf(link), ask) : undefined,
    receive: (max, ms, signal) => inbox.take(link, max, ms, signal),
    async renewLock(message) {
      const tokens = rhea.types.wrap_array([lockUuid(message)], UUID_CODE, undefined);
      const { expirations } = (await ask("renew-lock", { "lock-tokens": tokens })) as { expirations: (Date | number)[] };
      return Number(expirations[0]);
    },
    closed: link.closed,
    close: () => link.close(),
  };
}

type Ask = (operation: string, body: unknown) => Promise<unknown>;

function sessionLock(id: string, ask: Ask): SessionLock {
  return {
    id,
    async getState() {
      const { "session-state": state } = (await ask("get-session-state", { "session-id": id })) as { "session-state": Buffer | null };
      return state ?? Buffer.alloc(0);
    },
    async setState(state) {
      await ask("set-session-state", { "session-id": id, "session-state": rhea.types.wrap_binary(state) });
    },
    async renew() {
      const { expiration } = (await ask("renew-session-lock", { "session-id": id })) as { expiration: Date | number };
      return Number(expiration);
    },
  };
}

const sessionIdOf = ({ source }: RawReceiver): string => {
  const filter = (source.filter as Record<string, unknown> | undefined)?.[SESSION_FILTER];
  return String((filter as { value?: unknown } | null)?.value ?? filter ?? "");
};

function replyOf({ status, description, body }: Reply, operation: string): unknown {
  if (status < 200 || status > 299) throw new Error(`asking for '${operation}': ${status} ${description}`);
  return body ?? {};
}
