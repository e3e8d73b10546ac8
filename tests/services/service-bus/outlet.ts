import type { Delivery, Sender } from "rhea";

/** A link over which a client asks for messages. */
export interface Outlet {
  /** How many deliveries the client has given credit for, and its session and rhea have room for. */
  free(): number;
  /** Calls back whenever the client may have given credit or room, or wants its credit drained. */
  onFlow(listener: () => void): void;
  send(bytes: Buffer, tag: Buffer): Delivery;
  /** Gives up the credit that is left and says so, if the client waits for that; call when there is nothing more to send. */
  answerDrain(): void;
}

/** What rhea 3.0.5 keeps of a link that sends. */
interface LinkState {
  credit: number;
  delivery_count: number;
  issue_flow: boolean;
  _draining: boolean;
  _get_drain(): boolean;
  connection: { _register(): void };
  session: { on_flow(frame: unknown): void; outgoing: { available(): number; transfer_window(): number } };
}

const DRAIN_POLL_MS = 2;

/** Counts for itself what it hands to rhea: rhea's own counters move only when the frames are written. */
export function outletOf(sender: Sender): Outlet {
  const link = sender as unknown as LinkState;
  const { session } = link;
  let issued = link.delivery_count;
  let isAnswering = false;
  const drained = () => {
    const isDue = isAnswering && link._draining;
    isAnswering = false;
    if (!isDue) return false;
    issued += link.credit;
    link.delivery_count += link.credit;
    link.credit = 0;
    link._draining = false;
    return true;
  };
  // rhea answers a drain only where credit is left; a client that has got its last message meanwhile would wait in vain.
  link._get_drain = drained;
  const answerDrain = () => {
    if (!link._draining || !sender.is_open()) return;
    if (issued > link.delivery_count) {
      setTimeout(answerDrain, DRAIN_POLL_MS);
      return;
    }
    isAnswering = true;
    link.issue_flow = true;
    link.connection._register();
  };
  return {
    free() {
      const pending = issued - link.delivery_count;
      // The window is NaN until the client's first flow.
      const room = Math.min(session.outgoing.available(), session.outgoing.transfer_window() - pending) || 0;
      return sender.is_open() ? Math.min(link.credit - pending, room) : 0;
    },
    onFlow(listener) {
      // rhea tells of a link's flow, not of a session's, which makes room.
      const onFlow = session.on_flow;
      session.on_flow = (frame) => {
        onFlow.call(session, frame);
        listener();
      };
    },
    send(bytes, tag) {
      issued++;
      return sender.send(bytes, tag, 0);
    },
    answerDrain,
  };
}
