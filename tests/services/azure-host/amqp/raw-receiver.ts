import rhea, { type Delivery, type EventContext, type Receiver, type Session, type Source } from "rhea";
import type { AmqpConnection } from "./connection.ts";
import { opened } from "./requests.ts";

/** A message as it came over the wire. */
export interface RawDelivery {
  bytes: Buffer;
  tag: Buffer;
  /** Resolves when the broker has settled it too; rejects where it refuses, or the link ends first. */
  settle(outcome: Outcome): Promise<void>;
  /** Leaves it to the broker's lock, and frees its place here: rhea keeps a limited number of unsettled ones. */
  forget(): void;
}

export type Outcome =
  | { kind: "complete" }
  | { kind: "abandon"; annotations?: Record<string, unknown> }
  | { kind: "defer"; annotations?: Record<string, unknown> }
  | { kind: "dead-letter"; info: Record<string, unknown> };

export interface RawReceiver {
  /** As the broker attached it. */
  readonly source: Source;
  readonly properties: Readonly<Record<string, unknown>>;
  addCredit(count: number): void;
  /** Credit that the broker has not used yet. */
  readonly credit: number;
  /** Gives all credit back; resolves when nothing more can come. */
  drain(): Promise<void>;
  /** Resolves when the link is no more. */
  readonly closed: Promise<void>;
  close(): void;
}

export interface ReceiverSetup {
  connection: AmqpConnection;
  address: string;
  filter?: Record<string, unknown>;
  properties?: Record<string, unknown>;
  /** False: the broker forgets what it sends (Event Hubs). */
  isSettled: boolean;
  onDelivery(delivery: RawDelivery): void;
}

const SETTLE_SECOND = 1;
const SEND_SETTLED = 1;

/** Opens a link whose messages stay encoded. Throws where the broker refuses it. */
export async function openRawReceiver(setup: ReceiverSetup): Promise<RawReceiver> {
  const { connection, address, filter, properties, isSettled, onDelivery } = setup;
  const session = connection.session();
  keepEncoded(session);
  const receiver = session.open_receiver({
    source: { address, ...(filter && { filter }) } as Source,
    target: { address: "azure-host" },
    ...(isSettled ? { snd_settle_mode: 0, rcv_settle_mode: SETTLE_SECOND } : { snd_settle_mode: SEND_SETTLED, rcv_settle_mode: 0 }),
    ...(properties && { properties }),
    credit_window: 0,
    autoaccept: false,
  });
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const settling = new Map<Delivery, { resolve(): void; reject(error: Error): void }>();
  const end = () => {
    for (const { reject } of settling.values()) reject(new Error(`settling a message of '${address}': the link ended first`));
    settling.clear();
    onClosed();
  };
  for (const event of ["receiver_close", "session_close"]) receiver.on(event, end);
  void connection.closed.then(end);
  receiver.on("settled", ({ delivery }: EventContext) => {
    if (!delivery) return;
    const { resolve, reject } = settling.get(delivery) ?? {};
    settling.delete(delivery);
    const error = refusalOf(delivery);
    if (error) reject?.(error);
    else resolve?.();
  });
  receiver.on("message", ({ message, delivery }: EventContext) => {
    if (!delivery) return;
    onDelivery({
      bytes: message as unknown as Buffer,
      tag: delivery.tag as Buffer,
      settle: (outcome) =>
        new Promise((resolve, reject) => {
          if (receiver.is_closed()) return reject(new Error(`settling a message of '${address}': the link has ended`));
          settling.set(delivery, { resolve, reject });
          delivery.update(false, stateOf(outcome));
        }),
      forget: () => Object.assign(delivery, { settled: true }),
    });
    if (!isSettled) Object.assign(delivery, { settled: true });
  });
  await opened(receiver, "receiver", address, connection.closed);
  return rawReceiverOf(receiver, closed);
}

function rawReceiverOf(receiver: Receiver, closed: Promise<void>): RawReceiver {
  return {
    source: receiver.source,
    properties: (receiver.properties ?? {}) as Record<string, unknown>,
    addCredit(count) {
      receiver.drain = false;
      receiver.add_credit(count);
    },
    get credit() {
      return creditOf(receiver);
    },
    async drain() {
      if (receiver.is_closed() || creditOf(receiver) === 0) return;
      const drained = new Promise<void>((resolve) => receiver.once("receiver_drained", () => resolve()));
      receiver.drain_credit();
      await Promise.race([drained, closed]);
    },
    closed,
    close: () => receiver.close(),
  };
}

const creditOf = (receiver: Receiver): number => (receiver as unknown as { credit: number }).credit;

/** rhea decodes each message before it hands it over, and loses the types of its values; for this session it gets the bytes back instead. */
function keepEncoded(session: Session): void {
  const { incoming } = session as unknown as { incoming: { on_transfer(frame: unknown, receiver: unknown): void } };
  const onTransfer = incoming.on_transfer;
  incoming.on_transfer = function (frame, receiver) {
    const { decode } = rhea.message;
    rhea.message.decode = ((bytes: Buffer) => bytes) as unknown as typeof decode;
    try {
      onTransfer.call(this, frame, receiver);
    } finally {
      rhea.message.decode = decode;
    }
  };
}

function stateOf(outcome: Outcome): unknown {
  const { accepted, modified, rejected } = rhea.message as unknown as Record<string, (fields?: object) => { described(): unknown }>;
  const annotations = (given: Record<string, unknown> = {}) => ({ message_annotations: given });
  switch (outcome.kind) {
    case "complete":
      return accepted?.().described();
    case "abandon":
      return modified?.({ undeliverable_here: false, ...annotations(outcome.annotations) }).described();
    case "defer":
      return modified?.({ undeliverable_here: true, ...annotations(outcome.annotations) }).described();
    case "dead-letter":
      return rejected?.({ error: { condition: "com.microsoft:dead-letter", info: outcome.info } }).described();
  }
}

/** A broker that refuses a settlement says so by an error in its own state; rhea has unwrapped that. */
function refusalOf({ remote_state }: Delivery): Error | undefined {
  const { error } = (remote_state ?? {}) as { error?: { condition?: string; description?: string } };
  if (!error) return undefined;
  const { condition, description } = error;
  return Object.assign(new Error(`settling a message: ${description ?? condition ?? "refused"}`), { condition });
}
