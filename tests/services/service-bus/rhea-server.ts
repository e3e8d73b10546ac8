import type { Socket } from "node:net";
import rhea, { type Connection, type Delivery, type Message, type Receiver, type Sender, type Typed } from "rhea";

/*
 * What a broker needs of rhea beyond its documented surface, in one place: messages that stay encoded, attaches that are refused or wait,
 * frames that leave together; credit is `outlet.ts`'s. Written against rhea 3.0.5.
 */

export interface AmqpError {
  condition: string;
  description: string;
}

export type Link = Sender | Receiver;

/** What rhea keeps of a link. */
interface LinkState {
  state: { local_open: boolean; open_requests: number };
  local: { attach: Record<string, unknown> };
}

const stateOf = (link: Link) => link as unknown as LinkState;

/** Decodes a message as rhea does. */
export const decodeMessage = rhea.message.decode as (bytes: Buffer) => unknown as (bytes: Buffer) => Message;

/** From now on rhea hands over what it receives as the bytes that came: for a process in which rhea only serves. */
export function keepMessagesEncoded(): void {
  rhea.message.decode = ((bytes: Buffer) => bytes) as unknown as typeof rhea.message.decode;
}

/** The bytes of a value in one of rhea's typed forms. */
export function encoded(value: Typed): Buffer {
  const writer = new (rhea.types as unknown as { Writer: new () => Writer }).Writer();
  writer.write(value);
  return writer.toBuffer();
}

interface Writer {
  write(value: Typed): void;
  toBuffer(): Buffer;
}

/** Serves AMQP on a socket. All frames of one turn of the event loop leave together, in one call to the system. */
export function serve(connection: Connection, socket: Socket): void {
  const write = socket.write.bind(socket) as Socket["write"];
  socket.write = ((chunk: Buffer) => {
    if (socket.writableCorked === 0) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    return write(chunk);
  }) as Socket["write"];
  const server = connection as unknown as { accept(socket: Socket): void; _disconnected(): void };
  // rhea does not see that a socket was destroyed, and would go on sending heartbeats.
  socket.on("close", () => server._disconnected());
  server.accept(socket);
}

/** Fields of the attach that answers the client's, set before it is sent. */
export function answerAttach(link: Link, fields: Readonly<Record<string, unknown>>): void {
  Object.assign(stateOf(link).local.attach, fields);
}

/** Refuses a link as Service Bus does: an attach without terminus, then a detach with the error. */
export function refuse(link: Link, error: AmqpError): void {
  answerAttach(link, { source: null, target: null });
  link.close(error);
}

/** Leaves a client's attach unanswered until `link.open()`. To be called before anything is sent. */
export function holdAttach(link: Link): void {
  const { state } = stateOf(link);
  state.local_open = false;
  state.open_requests--;
}

/** Settles a delivery and forgets it: a client of Service Bus that has settled does not settle a second time. */
export function settleForGood(delivery: Delivery, state: Typed | undefined): void {
  delivery.update(true, state);
  (delivery as { remote_settled: boolean }).remote_settled = true;
}

/**
 * Answers with a refusal by itself: rhea joins two deliveries in turn to one statement without a look whether they have the same outcome, and would tell
 * the client that both were refused, or neither.
 */
export const apart =
  (answer: (error: AmqpError | undefined) => void) =>
  (error: AmqpError | undefined): void => {
    if (error) setImmediate(answer, error);
    else answer(undefined);
  };

export const accepted = (): Typed => (rhea.message as unknown as Outcomes).accepted().described();
export const rejected = (error: AmqpError): Typed => (rhea.message as unknown as Outcomes).rejected({ error }).described();

interface Outcomes {
  accepted(): { described(): Typed };
  rejected(fields: { error: AmqpError }): { described(): Typed };
}
