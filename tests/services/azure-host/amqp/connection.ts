import { createHmac, randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import rhea, { type Connection, type ConnectionOptions, type Session } from "rhea";
import type { Namespace } from "./connection-string.ts";
import { createRequester, type Requester } from "./requests.ts";

/** A connection to a namespace, for one listener; it does not come back by itself. */
export interface AmqpConnection {
  /** Puts a token for an entity (`queue`, `topic/Subscriptions/s`, `hub/ConsumerGroups/g/Partitions/0`), and again in time for as long as the connection lives. */
  authorize(entity: string): Promise<void>;
  /** A session of its own for each link: what one leaves unsettled holds back no other. */
  session(): Session;
  requester(address: string): Promise<Requester>;
  /** Resolves when the connection is no more, however it ended. */
  readonly closed: Promise<void>;
  close(): void;
  /** Ends it without a word to the broker. */
  break(): void;
}

const TOKEN_S = 3600;
const TOKEN_RENEWAL_MS = 2_700_000;
const CONNECT_TIMEOUT_MS = 15_000;
const CLOSE_TIMEOUT_MS = 500;

/** Connects and opens `$cbs`. Throws where the namespace does not answer. */
export async function connect(namespace: Namespace): Promise<AmqpConnection> {
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const connection = await openConnection(namespace, onClosed);
  const { socket } = connection as unknown as { socket: Socket };
  // rhea does not see that a socket was destroyed.
  socket.on("close", onClosed);
  const requester = (address: string) => createRequester(connection.create_session(), address, closed);
  const cbs = await requester("$cbs");
  const renewals = new Set<NodeJS.Timeout>();
  const putToken = async (entity: string): Promise<void> => {
    const audience = `sb://${namespace.host}:${namespace.port}/${entity}`;
    const { type, token } = tokenFor(audience, namespace);
    const { status, description } = await cbs.request({ operation: "put-token", type, name: audience }, token);
    if (status < 200 || status > 299)
      throw new Error(`authorizing at '${entity}': ${status} ${description}; check the shared access key, or the identity`);
    renewals.add(setTimeout(() => putToken(entity).catch(() => connection.close()), TOKEN_RENEWAL_MS).unref());
  };
  closed.then(() => renewals.forEach(clearTimeout));
  return {
    authorize: putToken,
    session() {
      const session = connection.create_session();
      session.open();
      return session;
    },
    requester,
    closed,
    close() {
      connection.close();
      // A broker that does not answer the close keeps no listener waiting.
      setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS).unref();
    },
    break: () => socket.destroy(),
  };
}

function openConnection({ host, port, isTls, credential }: Namespace, onClosed: () => void): Promise<Connection> {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const options = {
    host,
    port,
    hostname: host,
    username: credential.kind === "key" ? credential.keyName : "identity",
    reconnect: false,
    idle_time_out: 60_000,
    container_id: `azure-host-${randomUUID()}`,
    ...(isTls && { transport: "tls", servername: host }),
  };
  const connection = rhea.create_container().connect(options as ConnectionOptions);
  const timer = setTimeout(() => {
    reject(new Error(`connecting to ${host}:${port}: no answer in time`));
    connection.close();
  }, CONNECT_TIMEOUT_MS);
  connection.on("connection_open", () => resolve(connection));
  for (const event of ["connection_close", "disconnected", "connection_error", "protocol_error", "error"]) {
    connection.on(event, (context: { error?: Error; connection?: Connection }) => {
      reject(new Error(`connecting to ${host}:${port}: ${context?.error?.message ?? event}`));
      onClosed();
    });
  }
  return promise.finally(() => clearTimeout(timer));
}

/** The identity's token, or a shared access signature over the audience for an hour. */
function tokenFor(audience: string, { credential }: Namespace): { type: string; token: string } {
  if (credential.kind === "token") return { type: "jwt", token: credential.token };
  const resource = encodeURIComponent(audience);
  const expires = Math.floor(Date.now() / 1000) + TOKEN_S;
  const signature = createHmac("sha256", credential.key).update(`${resource}\n${expires}`).digest("base64");
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expires}&skn=${credential.keyName}`;
  return { type: "servicebus.windows.net:sastoken", token };
}
