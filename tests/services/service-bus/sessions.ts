import { type Consumer, createLane, type Lane } from "./lane.ts";
import { createLocks } from "./locks.ts";
import { createNextSession } from "./next-session.ts";
import type { AmqpError } from "./rhea-server.ts";
import type { StoredMessage } from "./stored-message.ts";

/** The messages of one session id, which one receiver at a time may have. */
export interface Session {
  readonly id: string;
  readonly lane: Lane;
  /** What its receiver has in hand. */
  readonly held: Set<StoredMessage>;
  /** Who has it, until its lock is given up or expires. */
  receiver: SessionReceiver | undefined;
  lockedUntilMs: number;
  state: Buffer | undefined;
}

/** Who asks for a session, and then takes its messages. */
export interface SessionReceiver extends Consumer {
  onAccepted(session: Session): void;
  onRefused(error: AmqpError): void;
  /** The lock has expired. */
  onLost(): void;
}

export interface Sessions {
  put(message: StoredMessage): void;
  get(id: string): Session | undefined;
  /**
   * Locks the session of that id, or the next free one that has messages, for which it waits `waitMs` at most. Returns what ends that: in order,
   * the session is free then and what its receiver has in hand comes back, uncounted; otherwise the lock stays until it expires.
   */
  accept(id: string | undefined, receiver: SessionReceiver, waitMs: number): (inOrder: boolean) => void;
  /** Locks anew; undefined where the lock is lost. */
  renew(id: string): number | undefined;
  expireAll(): number;
  flow(): void;
}

export interface SessionsSetup {
  lockMs: number;
  mayFlow(): boolean;
  /** What a session held is free again. */
  onFreed(message: StoredMessage, isCounted: boolean): void;
}

/** No sessions yet: each comes into being with its first message or its first receiver. */
export function createSessions({ lockMs, mayFlow, onFreed }: SessionsSetup): Sessions {
  const all = new Map<string, Session>();
  const sessionOf = (id: string) => {
    const session = all.get(id) ?? newSession(id, mayFlow);
    all.set(id, session);
    return session;
  };
  const locks = createLocks<Session>(lockMs, (session) => {
    session.receiver?.onLost();
    free(session, true);
  });
  const grant = (session: Session, receiver: SessionReceiver) => {
    next.withdraw(session);
    session.receiver = receiver;
    session.lockedUntilMs = locks.hold(session.id, session);
    session.lane.join(receiver);
    receiver.onAccepted(session);
  };
  const next = createNextSession<Session, SessionReceiver>({
    isWorthwhile: ({ lane }) => lane.hasNext(),
    onMatch: grant,
    onTimeout: (receiver) => receiver.onRefused(NONE_IN_TIME),
  });
  const offer = (session: Session) => {
    if (!session.receiver && session.lane.hasNext()) next.offer(session);
  };
  const free = (session: Session, isCounted: boolean) => {
    if (session.receiver) session.lane.leave(session.receiver);
    session.receiver = undefined;
    const messages = [...session.held];
    session.held.clear();
    for (const message of messages) onFreed(message, isCounted);
    offer(session);
  };
  return {
    put(message) {
      const session = sessionOf(message.sessionId ?? "");
      session.lane.put(message);
      offer(session);
      session.lane.flow();
    },
    get: (id) => all.get(id),
    accept(id, receiver, waitMs) {
      const session = id === undefined ? next.take() : sessionOf(id);
      if (!session) next.wait(receiver, waitMs);
      else if (session.receiver) receiver.onRefused(lockedByAnother(session.id));
      else grant(session, receiver);
      return (inOrder) => {
        next.leave(receiver);
        const own = all.values().find((session) => session.receiver === receiver);
        own?.lane.leave(receiver);
        if (own && inOrder && locks.release(own.id)) free(own, false);
      };
    },
    renew(id) {
      const untilMs = locks.renew(id);
      Object.assign(locks.get(id) ?? {}, { lockedUntilMs: untilMs });
      return untilMs;
    },
    expireAll: locks.expireAll,
    flow() {
      for (const { lane } of all.values()) lane.flow();
    },
  };
}

function newSession(id: string, mayFlow: () => boolean): Session {
  return { id, lane: createLane(mayFlow), held: new Set(), receiver: undefined, lockedUntilMs: 0, state: undefined };
}

const NONE_IN_TIME: AmqpError = {
  condition: "com.microsoft:timeout",
  description: "The operation did not complete within the allotted time: no session with messages is free.",
};

const lockedByAnother = (id: string): AmqpError => ({
  condition: "com.microsoft:session-cannot-be-locked",
  description: `The requested session '${id}' cannot be accepted. It may be locked by another receiver.`,
});
