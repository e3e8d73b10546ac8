import type { ConnectionOptions } from "@platformatic/kafka";
import { addressOf, type KafkaSettings } from "./settings.ts";
import { createTokens } from "./tokens.ts";
import { type Cluster, createCluster } from "./wire/cluster.ts";

const CONNECT_WITHIN_MS = 3_000;
const REQUEST_WITHIN_MS = 8_000;

/** How brokers are reached by these settings; the tokens of all clusters that it makes are the same. */
export function createConnecting(settings: KafkaSettings): () => Cluster {
  const connection: ConnectionOptions = {
    connectTimeout: CONNECT_WITHIN_MS,
    requestTimeout: REQUEST_WITHIN_MS,
    ...tlsOf(settings.tls),
    sasl: saslOf(settings.sasl),
  };
  const bootstrap = settings.brokers.map(addressOf);
  return () => createCluster({ bootstrap, clientId: settings.clientId, connection });
}

function tlsOf(tls: KafkaSettings["tls"]): Pick<ConnectionOptions, "tls" | "tlsServerName"> {
  if (tls === false) return {};
  if (tls === true) return { tls: {}, tlsServerName: true };
  const { serverName, ...options } = tls;
  return { tls: options, tlsServerName: serverName ?? true };
}

function saslOf(sasl: KafkaSettings["sasl"]): ConnectionOptions["sasl"] {
  if (sasl?.mechanism !== "OAUTHBEARER") return sasl;
  const { extensions } = sasl.oauth;
  return { mechanism: "OAUTHBEARER", token: createTokens(sasl.oauth), ...(extensions ? { oauthBearerExtensions: extensions } : {}) };
}
