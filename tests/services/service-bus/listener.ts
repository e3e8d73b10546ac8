import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import rhea, { type Connection, type Container, type EventContext } from "rhea";
import { createLinks, type Links, type LinksSetup } from "./links.ts";
import { serve } from "./rhea-server.ts";

export type ListenerSetup = Omit<LinksSetup, "drop">;

/** Takes the connections of clients. */
export interface Listener {
  /** Those of the clients there are. */
  links(): Iterable<Links>;
  /** Cuts all connections; returns how many. */
  dropAll(): number;
  /** Takes no new connections until `open`: they are refused. */
  shut(): Promise<void>;
  open(): Promise<void>;
  /** Reads and writes nothing until it is told false: connections are taken, and nothing is answered. */
  setSilent(isSilent: boolean): void;
}

const IDLE_TIMEOUT_MS = 240_000;
const MAX_FRAME_BYTES = 65_536;
/** Unsettled in a session; the window of the SDKs is half of it. */
const DELIVERIES_AT_ONCE = 4_096;
const CREDIT = 1_000;

const CONNECTION_OPTIONS = {
  max_frame_size: MAX_FRAME_BYTES,
  idle_time_out: IDLE_TIMEOUT_MS,
  session_buffer_size: { outgoing: DELIVERIES_AT_ONCE },
  tcp_no_delay: true,
  receiver_options: { autoaccept: false, credit_window: CREDIT },
  sender_options: { treat_modified_as_released: false },
};

/** Listens for AMQP on a port of the loopback interface. */
export async function startListener(port: number, setup: ListenerSetup): Promise<Listener> {
  const container = createContainer();
  const sockets = new Set<Socket>();
  const clients = new Map<Connection, Links>();
  let isSilent = false;

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    if (isSilent) hush(socket);
    const connection = container.create_connection({ ...CONNECTION_OPTIONS, port } as never);
    const links = createLinks({ ...setup, drop: () => socket.destroy() });
    clients.set(connection, links);
    socket.on("close", () => {
      links.end();
      clients.delete(connection);
    });
    serve(connection, socket);
  });
  routeEvents(container, ({ connection }) => clients.get(connection));
  const open = async () => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  await open();
  return {
    links: () => clients.values(),
    dropAll() {
      const count = sockets.size;
      for (const socket of sockets) socket.destroy();
      return count;
    },
    async shut() {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    open,
    setSilent(silent) {
      if (silent === isSilent) return;
      isSilent = silent;
      for (const socket of sockets) {
        if (silent) hush(socket);
        else unhush(socket);
      }
    },
  };
}

function hush(socket: Socket): void {
  socket.pause();
  socket.cork();
}

function unhush(socket: Socket): void {
  socket.uncork();
  socket.resume();
}

function createContainer(): Container {
  const container = rhea.create_container();
  container.sasl_server_mechanisms.enable_anonymous();
  // The rights come by $cbs, whatever the mechanism is called.
  for (const name of ["MSSBCBS", "EXTERNAL"]) container.sasl_server_mechanisms[name] = container.sasl_server_mechanisms.ANONYMOUS;
  return container;
}

function routeEvents(container: Container, linksOf: (context: EventContext) => Links | undefined): void {
  container.on("receiver_open", (context: EventContext) => context.receiver && linksOf(context)?.openReceiver(context.receiver));
  container.on("sender_open", (context: EventContext) => context.sender && linksOf(context)?.openSender(context.sender));
  container.on("receiver_close", (context: EventContext) => context.receiver && linksOf(context)?.onClosed(context.receiver));
  container.on("sender_close", (context: EventContext) => context.sender && linksOf(context)?.onClosed(context.sender));
  container.on("session_close", (context: EventContext) => {
    const links = linksOf(context);
    context.session?.each_receiver((link: never) => links?.onClosed(link), undefined as never);
    context.session?.each_sender((link: never) => links?.onClosed(link), undefined as never);
  });
  // Clients go as they please.
  for (const event of ["receiver_error", "sender_error", "session_error", "connection_error", "connection_close", "disconnected"]) {
    container.on(event, () => undefined);
  }
  container.on("protocol_error", (error: Error) => process.stderr.write(`protocol error: ${error.message}\n`));
  container.on("error", (error: Error) => process.stderr.write(`error: ${error.stack ?? error.message}\n`));
}
