import { parseArgs } from "node:util";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { PersistorError } from "../../core/errors.ts";

/*
 * The service by which the Functions host settles messages for a worker: `Settlement` of Microsoft.Azure.WebJobs.Extensions.ServiceBus
 * (https://github.com/Azure/azure-sdk-for-net, sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus/src/Grpc/Proto/settlement.proto).
 */

/** Settles messages by their lock tokens, and renews locks: of a session that of its own. Throws gRPC's error, also for a lock that was lost. */
export interface Settlement {
  complete(lockToken: string): Promise<void>;
  renewLock(lockToken: string): Promise<void>;
  renewSession(sessionId: string): Promise<void>;
}

const SERVICE = "Settlement";
const CALL_MS = 10_000;

/** Reaches the host at the address that it gave this worker on its command line. Throws PersistorError `settings_invalid` where it gave none. */
export function createSettlement(commandLine: readonly string[] = process.argv.slice(2)): Settlement {
  const client = new Client(hostAddress(commandLine), credentials.createInsecure());
  return {
    complete: (lockToken) => call(client, "Complete", lockToken),
    renewLock: (lockToken) => call(client, "RenewMessageLock", lockToken),
    renewSession: (sessionId) => call(client, "RenewSessionLock", sessionId),
  };
}

function hostAddress(commandLine: readonly string[]): string {
  const { values } = parseArgs({ args: [...commandLine], strict: false, options: { host: TEXT, port: TEXT, "functions-uri": TEXT } });
  const { host, port, "functions-uri": uri } = values;
  if (typeof uri === "string") return new URL(uri).host;
  if (typeof host === "string" && typeof port === "string") return `${host}:${port}`;
  throw new PersistorError(
    "settings_invalid",
    "settling messages: the Functions host has not told this worker its address; use binding drain or classic",
  );
}

const TEXT = { type: "string" } as const;

function call(client: Client, method: string, key: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null) => (error ? reject(error) : resolve());
    const deadline = Date.now() + CALL_MS;
    client.makeUnaryRequest(`/${SERVICE}/${method}`, requestOf, () => undefined, key, { deadline }, done);
  });
}

/** A request whose first field is a text of less than 16,384 bytes (https://protobuf.dev/programming-guides/encoding/). */
function requestOf(key: string): Buffer {
  const bytes = Buffer.from(key);
  const length = bytes.length < 0x80 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.from([0x0a, ...length, ...bytes]);
}
