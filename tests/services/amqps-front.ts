import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, type Socket } from "node:net";
import tls from "node:tls";
import type { Certificate } from "./azurite.ts";

/** The port of AMQP over TLS. */
const AMQPS_PORT = 5671;

/** Stands for every namespace of Azure in this process: AMQP over TLS to whatever host comes to it, and on to a server of plain AMQP. */
export interface AmqpsFront {
  /** The hosts that were asked for, one for each connection. */
  hosts: string[];
  close(): void;
}

/** `target`: port of the plain server on 127.0.0.1. The certificate must be trusted by this process. */
export async function startAmqpsFront({ certFile, keyFile }: Certificate, target: number): Promise<AmqpsFront> {
  const hosts: string[] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket.on("error", () => undefined));
    return socket;
  };
  const server = tls.createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (incoming) => {
    const outgoing = keep(connect(target, "127.0.0.1"));
    keep(incoming).pipe(outgoing).pipe(incoming);
    incoming.on("close", () => outgoing.destroy());
    outgoing.on("close", () => incoming.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const direct = tls.connect;
  // rhea takes it from the module at each connection.
  tls.connect = ((wanted: number, host: string, options: tls.ConnectionOptions, connected: () => void) => {
    if (wanted !== AMQPS_PORT) return direct(wanted, host, options, connected);
    hosts.push(host);
    return direct({ ...options, port, host: "127.0.0.1", servername: host }, connected);
  }) as typeof tls.connect;
  return {
    hosts,
    close() {
      tls.connect = direct;
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
