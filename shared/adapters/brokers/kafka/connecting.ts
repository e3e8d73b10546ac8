import { isIP } from "node:net";
import type { ConnectionOptions } from "@platformatic/kafka";
import { addressOf, type KafkaSettings } from "./settings.ts";
import { createTokens } from "./tokens.ts";
import { type Cluster, createCluster } from "./wire/cluster.ts";

const CONNECT_WITHIN_MS = 3_000;
const REQUEST_WITHIN_MS = 8_000;

/** How brokers are reached by these settings; the tokens of all clusters that it makes are the same. */
export function createConnecting(settings: KafkaSettings): () => Cluster {
  const bootstrap = settings.brokers.map(addressOf);
  const connection: ConnectionOptions = {
    connectTimeout: CONNECT_WITHIN_MS,
    requestTimeout: REQUEST_WITHIN_MS,
    ...tlsOf(settings.tls, bootstrap),
    sasl: saslOf(settings.sasl),
  };
  return () => createCluster({ bootstrap, clientId: settings.clientId, connection });
}

function tlsOf(tls: KafkaSettings["tls"], brokers: readonly { host: string }[]): Pick<ConnectionOptions, "tls" | "tlsServerName"> {
  if (tls === false) return {};
  const { serverName, ...options } = tls === true ? { serverName: undefined } : tls;
  // Several clusters behind one address are told apart by the name; an address is none.
  return { tls: options, tlsServerName: serverName ?? brokers.every(({ host }) => isIP(host) === 0) };
}

function saslOf(sasl: KafkaSettings["sasl"]): ConnectionOptions["sasl"] {
  if (sasl?.mechanism !== "OAUTHBEARER") return sasl;
  const { extensions } = sasl.oauth;
  const own = { mechanism: "OAUTHBEARER", token: createTokens(sasl.oauth), authBytesValidator: checkTokenAnswer } as const;
  return extensions ? { ...own, oauthBearerExtensions: extensions } : own;
}

/** A broker that refuses a token says so in an answer that counts as a success (RFC 7628, 3.2.2). */
function checkTokenAnswer(answer: Buffer, done: (error: Error | null, answer?: Buffer) => void): void {
  if (answer.length === 0) done(null, answer);
  else done(new Error(`the broker refused the token: ${answer.toString("utf8").slice(0, 300)}`));
}
