import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";
import type { ServiceBusServer } from "./service-bus-server.ts";

/** Stands before Service Bus and numbers its messages as partitioned entities do: the partition's number in the upper 16 bits. */
export interface Partitioning {
  connectionString: string;
  /** Number of the partition that messages seem to come from; 0: as the server numbers them. */
  partition: number;
  stop(): Promise<void>;
}

const NAME = "x-opt-sequence-number";
/** A symbol and the code of a long, of which the eight bytes follow. */
const BEFORE = Buffer.concat([Buffer.of(0xa3, NAME.length), Buffer.from(NAME), Buffer.of(0x81)]);
const LONG_BYTES = 8;

export async function startPartitioning(server: ServiceBusServer): Promise<Partitioning> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    return socket;
  };
  const listener = createServer((incoming) => {
    const outgoing = keep(connect(server.port, server.host));
    keep(incoming).pipe(outgoing);
    outgoing.pipe(numbering(() => partitioning.partition)).pipe(incoming);
    incoming.on("close", () => outgoing.destroy());
    outgoing.on("close", () => incoming.destroy());
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const partitioning: Partitioning = {
    connectionString: server.connectionString.replace(/:\d+;/, `:${port};`),
    partition: 0,
    async stop() {
      listener.close();
      for (const socket of sockets) socket.destroy();
      if (listener.listening) await once(listener, "close");
    },
  };
  return partitioning;
}

/** Sets the upper 16 bits of every sequence number in a stream of AMQP. */
function numbering(partition: () => number): Transform {
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const bytes = Buffer.concat([held, chunk]);
      const end = bytes.length - beginningOf(bytes);
      if (partition() > 0) {
        for (let at = bytes.indexOf(BEFORE); at >= 0 && at < end; at = bytes.indexOf(BEFORE, at + 1)) {
          bytes.writeUInt16BE(partition(), at + BEFORE.length);
        }
      }
      held = bytes.subarray(end);
      done(null, bytes.subarray(0, end));
    },
  });
}

/** How many bytes at the end may be the beginning of a sequence number. */
function beginningOf(bytes: Buffer): number {
  for (let length = Math.min(bytes.length, BEFORE.length + LONG_BYTES - 1); length > 0; length--) {
    const compared = Math.min(length, BEFORE.length);
    if (bytes.compare(BEFORE, 0, compared, bytes.length - length, bytes.length - length + compared) === 0) return length;
  }
  return 0;
}
