import type { Sender } from "rhea";
import type { Opened, OpenedLink } from "./directory.ts";
import { lockLost, notAllowed } from "./errors.ts";
import type { Consumer } from "./lane.ts";
import { type Outlet, outletOf } from "./outlet.ts";
import type { Queue } from "./queue.ts";
import { answerAttach, holdAttach, refuse } from "./rhea-server.ts";
import { answerSession, type SessionAsked, sessionAsked } from "./session-filter.ts";
import type { Session, SessionReceiver, Sessions } from "./sessions.ts";
import { encodeStored } from "./stored-message.ts";

const NO_TAG = Buffer.alloc(0);
const SETTLED_ON_SEND = 1;

/** Delivers a queue's messages over a link. */
export function openReceiving(sender: Sender, queue: Queue): Opened {
  const asked = sessionAsked(sender);
  if (asked && !queue.sessions) {
    return { error: notAllowed(`A sessionful message receiver cannot be created on '${queue.name}', which does not require sessions.`) };
  }
  if (!asked && queue.sessions) {
    return { error: notAllowed(`It is not possible for '${queue.name}', which requires sessions, to have a receiver without one.`) };
  }
  const outlet = outletOf(sender);
  const consumer = consumerOn(outlet, queue, sender.snd_settle_mode === SETTLED_ON_SEND);
  if (asked && queue.sessions) {
    const onSession = (session: Session) => outlet.onFlow(session.lane.flow);
    return { leave: acceptSession(sender, queue.sessions, asked, consumer, onSession) };
  }
  outlet.onFlow(queue.flow);
  queue.join(consumer);
  return { leave: () => queue.leave(consumer) };
}

function consumerOn(outlet: Outlet, queue: Queue, isForGood: boolean): Consumer {
  return {
    free: outlet.free,
    onFlowed: outlet.answerDrain,
    deliver(message) {
      if (isForGood) {
        outlet.send(encodeStored(message), NO_TAG);
        queue.remove(message);
      } else {
        const tag = queue.lock(message);
        outlet.send(encodeStored(message), tag);
      }
    },
  };
}

/** The client's attach is answered when there is a session for it, or none in time. */
function acceptSession(
  sender: Sender,
  sessions: Sessions,
  { id, waitMs }: SessionAsked,
  consumer: Consumer,
  onSession: (session: Session) => void,
): OpenedLink["leave"] {
  let isDecided = false;
  let isHeld = false;
  const decide = () => {
    isDecided = true;
    if (isHeld) sender.open();
    isHeld = false;
  };
  const receiver: SessionReceiver = {
    ...consumer,
    onAccepted(session) {
      answerAttach(sender, answerSession(sender, session.id, session.lockedUntilMs));
      onSession(session);
      decide();
    },
    onRefused(error) {
      decide();
      refuse(sender, error);
    },
    onLost: () => sender.close(lockLost(true)),
  };
  const leave = sessions.accept(id, receiver, waitMs);
  isHeld = !isDecided;
  if (isHeld) holdAttach(sender);
  return (inOrder) => {
    leave(inOrder);
    if (isHeld) decide();
  };
}
