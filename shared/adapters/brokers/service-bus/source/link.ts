import type { Lock } from "./locks.ts";
import { type AmqpError, type AmqpLink, askFor, type Ending, forget, type Transfer, takeOver } from "./sdk-link.ts";

/** A link that messages come over. */
export interface Link {
  /** A session has its messages settled over its link alone, and is locked as a whole. */
  readonly isOfSession: boolean;
  /** Messages that came over it, and are neither settled nor settled by their token alone. */
  readonly locks: ReadonlyMap<Transfer, Lock>;
  readonly amqpLink: AmqpLink;
  /** Messages that ever came over it. */
  readonly count: number;
  /** Whether it holds messages that nobody will settle: a session has to be closed for them to come again. */
  isDoomed: boolean;
  isOpen(): boolean;
  /** How many more messages may be asked for. */
  room(): number;
  /** Takes note of what came. */
  add(lock: Lock, transfer: Transfer): void;
  /** Another lock stands for the same message. */
  replace(lock: Lock): void;
  /** Asks for an ending, which the lock's run is told. */
  settle(lock: Lock, ending: Ending): void;
  /** Keeps no place for it any more. */
  drop(lock: Lock): void;
  /** Whether few messages that are held for long take most of its places. */
  isBlocked(): boolean;
  /** Has its messages settled by their tokens from now on, but for those whose settlement is under way. */
  leave(): void;
  /** Where the link is gone, tells all that wait for it. */
  look(): void;
}

export interface LinkOptions {
  amqpLink: AmqpLink;
  isOfSession: boolean;
  onMessage(bytes: Buffer, transfer: Transfer, link: Link): void;
  /** The lock of a session ends with its link, and with it the locks of its messages. */
  onLost(lock: Lock): void;
}

/** rhea keeps 2,048 deliveries of a link, and frees their places only in their order. */
const PLACES = 1_900;

export function createLink({ amqpLink, isOfSession, onMessage, onLost }: LinkOptions): Link {
  const locks = new Map<Transfer, Lock>();
  /** In the order in which they came; those before `first` have no place any more. */
  let came: Transfer[] = [];
  let first = 0;
  let count = 0;

  const taken = () => {
    while (first < came.length && (came[first] as Transfer).settled) first++;
    if (first > PLACES) {
      came = came.slice(first);
      first = 0;
    }
    return came.length - first;
  };
  const drop = (lock: Lock) => {
    if (!lock.transfer) return;
    forget(lock.transfer);
    locks.delete(lock.transfer);
    lock.transfer = undefined;
  };
  const link: Link = {
    isOfSession,
    locks,
    amqpLink,
    isDoomed: false,
    get count() {
      return count;
    },
    isOpen: () => amqpLink.is_open(),
    room: () => (amqpLink.is_open() ? PLACES - taken() - creditOf(amqpLink) : 0),
    add(lock, transfer) {
      count++;
      came.push(transfer);
      locks.set(transfer, lock);
    },
    replace(lock) {
      if (lock.transfer) locks.set(lock.transfer, lock);
    },
    settle(lock, ending) {
      if (lock.transfer && amqpLink.is_open()) askFor(lock.transfer, ending);
      else lock.run?.unanswered(lock);
    },
    drop,
    isBlocked: () => taken() > PLACES / 2 && locks.size < PLACES / 4,
    leave() {
      const isGone = !amqpLink.is_open();
      for (const lock of [...locks.values()]) {
        // Its answer is on its way.
        if (lock.run && !isGone) continue;
        drop(lock);
        if (lock.run) lock.run.unanswered(lock);
        else if (isOfSession) onLost(lock);
      }
    },
    look() {
      if (!amqpLink.is_open()) link.leave();
    },
  };
  takeOver(amqpLink, {
    onMessage: (bytes, transfer) => onMessage(bytes, transfer, link),
    onSettled(transfer, error: AmqpError | undefined) {
      const lock = locks.get(transfer);
      if (!lock) return;
      locks.delete(transfer);
      lock.transfer = undefined;
      lock.run?.answered(lock, error);
    },
  });
  return link;
}

/** What it may still be sent. */
export function creditOf(amqpLink: AmqpLink): number {
  return (amqpLink as unknown as { credit: number }).credit;
}

/** Lets it be sent more. */
export function ask(link: Link, count: number): void {
  if (count > 0) link.amqpLink.add_credit(count);
}
