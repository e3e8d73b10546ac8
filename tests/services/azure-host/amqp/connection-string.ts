import type { Connection } from "../app-settings.ts";

/** Where a namespace of Service Bus or Event Hubs is, and how to get in. */
export interface Namespace {
  host: string;
  port: number;
  isTls: boolean;
  credential: { kind: "key"; keyName: string; key: string } | { kind: "token"; token: string };
  entityPath: string | undefined;
}

const TLS_PORT = 5671;
const PLAIN_PORT = 5672;

/** Of a connection string, or of a name and the identity's token; a name with a port of this machine is reached without TLS. */
export function namespaceOf(connection: Connection): Namespace {
  if (connection.kind === "string") return parseConnectionString(connection.text);
  const { hostname, port } = new URL(`http://${connection.fullyQualifiedNamespace}`);
  const isTls = port === "" || (hostname !== "127.0.0.1" && hostname !== "localhost");
  return {
    host: hostname,
    port: Number(port) || TLS_PORT,
    isTls,
    credential: { kind: "token", token: connection.token },
    entityPath: undefined,
  };
}

/** Throws where a part is missing; the text itself is in no message. */
function parseConnectionString(text: string): Namespace {
  const parts = new Map(
    text
      .split(";")
      .filter((part) => part.includes("="))
      .map((part) => [part.slice(0, part.indexOf("=")).trim().toLowerCase(), part.slice(part.indexOf("=") + 1).trim()]),
  );
  const need = (name: string) => {
    const value = parts.get(name.toLowerCase());
    if (!value) throw new Error(`reading a connection string: '${name}' is missing; set it`);
    return value;
  };
  const isTls = parts.get("usedevelopmentemulator") !== "true";
  const endpoint = new URL(need("Endpoint").replace(/^sb:/, "http:"));
  return {
    host: endpoint.hostname,
    port: Number(endpoint.port || (isTls ? TLS_PORT : PLAIN_PORT)),
    isTls,
    credential: { kind: "key", keyName: need("SharedAccessKeyName"), key: need("SharedAccessKey") },
    entityPath: parts.get("entitypath"),
  };
}
