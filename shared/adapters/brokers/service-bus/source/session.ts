import type { ServiceBusSessionReceiver } from "@azure/service-bus";
import type { Link } from "./link.ts";
import { lockMsOf } from "./locks.ts";

/** A session that is ours, and the link that its messages come over. */
export interface Session {
  readonly link: Link;
  /** Whether it is to get no more messages. */
  readonly isEnding: boolean;
  /** Renews its lock, and closes it where it has been quiet, or has been open for `turnMs`, and all is settled. False once it is ours no more. */
  look(turnMs: number): boolean;
  close(): Promise<void>;
}

/** Without a message for this long, and with all of them settled, it makes room for another one. */
const QUIET_MS = 500;
/** Its lock is renewed when no more than this part of it is left. */
const RENEW_AT_PART = 0.5;
const RENEW_AGAIN_MS = 1_000;

export function createSession(link: Link, receiver: ServiceBusSessionReceiver): Session {
  const openedMs = performance.now();
  let activeMs = openedMs;
  let seen = 0;
  let isEnding = false;
  let renewAtMs = openedMs + lockMsOf(receiver.sessionLockedUntilUtc.getTime()) * RENEW_AT_PART;

  const renew = () => {
    renewAtMs = Number.POSITIVE_INFINITY;
    receiver.renewSessionLock().then(
      (until) => {
        renewAtMs = performance.now() + lockMsOf(until.getTime()) * RENEW_AT_PART;
      },
      // A lock that is lost ends the link; any other failure may pass.
      () => {
        renewAtMs = performance.now() + RENEW_AGAIN_MS;
      },
    );
  };
  const close = async (): Promise<void> => {
    await receiver.close().catch(() => undefined);
  };
  return {
    link,
    get isEnding() {
      return isEnding;
    },
    close,
    look(turnMs) {
      link.look();
      if (!link.isOpen()) return false;
      const nowMs = performance.now();
      if (link.count !== seen || link.locks.size > 0) activeMs = nowMs;
      seen = link.count;
      if (link.isDoomed || nowMs - openedMs >= turnMs) isEnding = true;
      const isQuiet = nowMs - activeMs >= (isEnding ? 0 : QUIET_MS);
      if (isQuiet && link.locks.size === 0) {
        void close();
        return false;
      }
      if (nowMs >= renewAtMs) renew();
      return true;
    },
  };
}
