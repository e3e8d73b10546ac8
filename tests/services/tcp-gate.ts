import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** Stands before a TCP service and can be shut, as if the service were down. */
export interface TcpGate {
  port: number;
  /** Cuts every connection and refuses new ones. */
  shut(): Promise<void>;
  /** Lets connections through again, on the same port. */
  open(): Promise<void>;
  stop(): Promise<void>;
}

/** Opens a gate to `port` of the loopback interface. */
export async function startTcpGate(target: number): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((incoming) => {
    const outgoing = keep(connect(target, "127.0.0.1"));
    keep(incoming).pipe(outgoing).pipe(incoming);
    incoming.on("close", () => outgoing.destroy());
    outgoing.on("close", () => incoming.destroy());
  });
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as { port: number }).port;
  };
  const shut = async () => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const port = await listen(0);
  return { port, shut, open: () => listen(port).then(() => undefined), stop: shut };
}
