import { keyOfTag } from "./lock-token.ts";
import type { Locks } from "./locks.ts";
import { withApplicationProperties } from "./message.ts";
import type { Options } from "./options.ts";
import { type Outcome, tooManyDeliveries } from "./outcome.ts";
import type { Session } from "./sessions.ts";
import type { Store } from "./store.ts";
import type { StoredMessage } from "./stored-message.ts";

/** How deliveries end. */
export interface Endings {
  /** False where the lock is lost. */
  settle(key: string, outcome: Outcome): boolean;
  /** Makes a locked message free again; `isCounted`: as a delivery that came to nothing. */
  giveBack(message: StoredMessage, isCounted: boolean): void;
  /** Removes a message that went out for good. */
  remove(message: StoredMessage): void;
}

export interface EndingsSetup {
  store: Store;
  locks: Locks<StoredMessage>;
  options: Options;
  /** Undefined in a dead-letter queue, where a message stays that is dead-lettered. */
  deadLetters: { take(message: StoredMessage): void } | undefined;
  sessionOf(message: StoredMessage): Session | undefined;
  /** The message waits again. */
  putBack(message: StoredMessage): void;
}

export function createEndings({ store, locks, options, deadLetters, sessionOf, putBack }: EndingsSetup): Endings {
  const remove = (message: StoredMessage) => {
    store.tally.completed++;
    store.move(message, "gone");
  };
  const giveBack = (message: StoredMessage, isCounted: boolean) => {
    if (message.tag) locks.release(keyOfTag(message.tag));
    Object.assign(message, { tag: undefined, lockedUntilMs: undefined });
    if (isCounted) message.deliveryCount++;
    if (message.expiresAtMs <= Date.now()) store.move(message, "gone");
    else if (message.deliveryCount >= options.maxDeliveryCount) end(message, tooManyDeliveries(options.maxDeliveryCount));
    else {
      store.move(message, "active");
      putBack(message);
    }
  };
  const end = (message: StoredMessage, outcome: Outcome) => {
    if (outcome.kind === "complete") return remove(message);
    message.bare = withApplicationProperties(message.bare, outcome.changes);
    if (outcome.kind === "abandon") return giveBack(message, outcome.isCounted);
    Object.assign(message, { tag: undefined, lockedUntilMs: undefined });
    if (outcome.kind === "defer") return store.move(message, "deferred");
    if (!deadLetters) return giveBack(message, false);
    store.move(message, "gone");
    deadLetters.take({ ...message, state: "active", expiresAtMs: Infinity, deadLetterReason: outcome.reason });
  };
  return {
    settle(key, outcome) {
      const message = locks.release(key);
      if (!message) return false;
      sessionOf(message)?.held.delete(message);
      end(message, outcome);
      return true;
    },
    giveBack,
    remove,
  };
}
