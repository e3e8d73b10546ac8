/** Brings together those who want any session and the sessions that anybody may have. */
export interface NextSession<S, R> {
  /** Somebody may have a session, now or later: who waits longest first. */
  offer(session: S): void;
  /** Nobody may have it for now. */
  withdraw(session: S): void;
  /** A session that has been offered; undefined where there is none. */
  take(): S | undefined;
  /** Waits for one, `waitMs` at most. */
  wait(receiver: R, waitMs: number): void;
  leave(receiver: R): void;
}

export interface NextSessionSetup<S, R> {
  /** Whether a session that was offered still has messages. */
  isWorthwhile(session: S): boolean;
  onMatch(session: S, receiver: R): void;
  onTimeout(receiver: R): void;
}

/** Nobody waits, and nothing is offered. */
export function createNextSession<S, R>({ isWorthwhile, onMatch, onTimeout }: NextSessionSetup<S, R>): NextSession<S, R> {
  const offered = new Set<S>();
  const waiting = new Map<R, NodeJS.Timeout>();
  const leave = (receiver: R) => {
    clearTimeout(waiting.get(receiver));
    return waiting.delete(receiver);
  };
  return {
    offer(session) {
      const [first] = waiting.keys();
      if (first === undefined) offered.add(session);
      else if (leave(first)) onMatch(session, first);
    },
    withdraw: (session) => void offered.delete(session),
    take() {
      for (const session of offered) {
        offered.delete(session);
        if (isWorthwhile(session)) return session;
      }
      return undefined;
    },
    wait(receiver, waitMs) {
      const giveUp = () => leave(receiver) && onTimeout(receiver);
      waiting.set(receiver, setTimeout(giveUp, waitMs));
    },
    leave: (receiver) => void leave(receiver),
  };
}
