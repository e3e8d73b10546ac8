import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import rhea, { type AmqpError, type EventContext, type Receiver, type Sender } from "rhea";
import type { ServiceBusServer } from "../service-bus-server.ts";

/** A client without an SDK, which sends what no SDK would. */
export interface RawClient {
  /** Puts a token for a path, by default a good one; returns the status of the answer. */
  putToken(path: string, token?: string, type?: string): Promise<number>;
  /** Opens a link to send by, with the error by which it is refused. */
  openSender(address: string): Promise<Opened<Sender>>;
  openReceiver(address: string, options?: Record<string, unknown>): Promise<Opened<Receiver>>;
  /** Resolves to the error with which the server detaches a link. */
  detached(opened: Opened<Sender | Receiver>): Promise<AmqpError>;
  /** Sends an encoded message; resolves to the outcome. */
  send(opened: Opened<Sender>, message: Uint8Array, format?: number): Promise<"accepted" | "rejected">;
  /** Gives credit and drains it at once; resolves when the server says that it is. */
  drain(opened: Opened<Receiver>, credit: number): Promise<void>;
  /** Receives one message: the bytes that came. */
  receiveBytes(opened: Opened<Receiver>): Promise<Buffer>;
  close(): Promise<void>;
}

export interface Opened<L> {
  link: L;
  error: AmqpError | undefined;
}

const HOUR_S = 3_600;

/** rhea keeps no bytes of what it decodes. */
const bytesOf = new WeakMap<object, Buffer>();
const decode = rhea.message.decode;
rhea.message.decode = (bytes) => {
  const message = decode(bytes);
  bytesOf.set(message, bytes);
  return message;
};

export async function openRaw({ host, port, connectionString }: ServiceBusServer): Promise<RawClient> {
  const container = rhea.create_container();
  for (const event of ["sender_error", "receiver_error", "sender_close", "receiver_close"]) container.on(event, () => undefined);
  container.on("disconnected", () => undefined);
  const connection = container.connect({ host, port, reconnect: false, username: "raw" });
  await once(connection, "connection_open");
  const replies = connection.open_receiver({ source: { address: "$cbs" }, name: `cbs-${randomUUID()}` });
  const requests = connection.open_sender({ target: { address: "$cbs" } });
  await Promise.all([once(replies, "receiver_open"), once(requests, "sendable")]);
  return {
    async putToken(path, token = goodToken(`sb://${host}:${port}/${path}`, connectionString), type = "servicebus.windows.net:sastoken") {
      const answered = once(replies, "message");
      const properties = { operation: "put-token", type, name: `sb://${host}:${port}/${path}` };
      requests.send({ message_id: randomUUID(), reply_to: replies.name, application_properties: properties, body: token });
      const [{ message }] = (await answered) as [EventContext];
      return message?.application_properties?.["status-code"];
    },
    openSender: (address) => opened(connection.open_sender({ target: { address } }), "sender", ({ target }) => target?.address),
    openReceiver: (address, options = {}) =>
      opened(
        connection.open_receiver({ source: { address }, credit_window: 0, autoaccept: false, ...options }),
        "receiver",
        ({ source }) => source?.address,
      ),
    async detached({ link }) {
      await once(link, link.is_sender() ? "sender_error" : "receiver_error");
      return link.error as AmqpError;
    },
    send({ link }, message, format = 0) {
      const delivery = link.send(Buffer.from(message), undefined, format);
      return new Promise((resolve) => {
        for (const outcome of ["accepted", "rejected"] as const) {
          link.on(outcome, (context: EventContext) => context.delivery === delivery && resolve(outcome));
        }
      });
    },
    async drain({ link }, credit) {
      const drained = once(link, "receiver_drained");
      link.add_credit(credit);
      link.drain_credit();
      await drained;
      link.drain = false;
    },
    async receiveBytes({ link }) {
      const received = once(link, "message");
      link.add_credit(1);
      const [{ message }] = (await received) as [EventContext];
      return bytesOf.get(message as object) as Buffer;
    },
    async close() {
      connection.close();
      await Promise.race([once(connection, "connection_close"), once(connection, "disconnected")]);
    },
  };
}

/** A refused link is opened without a terminus, and then detached. */
async function opened<L extends Sender | Receiver>(
  link: L,
  kind: "sender" | "receiver",
  terminus: (link: L) => unknown,
): Promise<Opened<L>> {
  const [failed, sendable] = [once(link, `${kind}_error`), once(link, "sendable")];
  await once(link, `${kind}_open`);
  if (!terminus(link)) await failed;
  else if (kind === "sender") await sendable;
  return { link, error: link.error as AmqpError | undefined };
}

function goodToken(resource: string, connectionString: string): string {
  const [name, key] = ["SharedAccessKeyName", "SharedAccessKey"].map((part) => new RegExp(`${part}=([^;]+)`).exec(connectionString)?.[1]);
  return signedToken(resource, name as string, key as string, HOUR_S);
}

/** A shared access signature for a resource. */
export function signedToken(resource: string, keyName: string, key: string, validS: number): string {
  const [sr, se] = [encodeURIComponent(resource), Math.floor(Date.now() / 1000) + validS];
  const sig = createHmac("sha256", key).update(`${sr}\n${se}`).digest("base64");
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${keyName}`;
}
