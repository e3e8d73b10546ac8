import type { ServerKeys } from "./keys.ts";

export interface KafkaUser {
  name: string;
  password: string;
}

/** How tokens of OAUTHBEARER are judged; the issuer must answer when the broker starts. */
export interface KafkaOauth {
  jwksUrl: string;
  issuer: string;
  audience: string;
}

/** Which listeners stand beside the one without encryption and names. */
export interface KafkaSecurity {
  tls?: boolean;
  /** PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and, with `oauth`, OAUTHBEARER. */
  sasl?: boolean;
  /** The same as `sasl`, under TLS. */
  saslTls?: boolean;
  oauth?: KafkaOauth;
  /** Default: alice and bob. Names and passwords of letters, digits and hyphens. */
  users?: readonly KafkaUser[];
  /** Refuses what no ACL allows, except to who comes without a name, over the listeners without SASL. */
  authorizer?: boolean;
}

/** Named as the security protocols are, except for the controller's. */
export type Listener = "PLAINTEXT" | "CONTROLLER" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";

export type Ports = Readonly<Partial<Record<Listener, number>>>;

type Settings = Record<string, string>;

const SECURITY_PACKAGE = "org.apache.kafka.common.security";

export const DEFAULT_USERS: readonly KafkaUser[] = [
  { name: "alice", password: "alice-secret" },
  { name: "bob", password: "bob-secret" },
];
export const SCRAM_MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

/** One node that is quick to start, also after it was killed, and loses nothing by age. */
const FIXED: Readonly<Settings> = {
  "process.roles": "broker,controller",
  "node.id": "1",
  "controller.listener.names": "CONTROLLER",
  "inter.broker.listener.name": "PLAINTEXT",
  // A broker that was killed is let in again only when its session is over; by default after 9 s.
  "broker.session.timeout.ms": "2000",
  "broker.heartbeat.interval.ms": "250",
  "offsets.topic.replication.factor": "1",
  "offsets.topic.num.partitions": "1",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "transaction.state.log.num.partitions": "1",
  "default.replication.factor": "1",
  "min.insync.replicas": "1",
  "group.initial.rebalance.delay.ms": "0",
  "group.min.session.timeout.ms": "1000",
  "auto.create.topics.enable": "false",
  "log.retention.ms": "-1",
};

/** The listeners that are asked for. */
export function listenersOf({ tls, sasl, saslTls }: KafkaSecurity): Listener[] {
  const further: [Listener, boolean | undefined][] = [
    ["SSL", tls],
    ["SASL_PLAINTEXT", sasl],
    ["SASL_SSL", saslTls],
  ];
  return ["PLAINTEXT", "CONTROLLER", ...further.filter(([, wanted]) => wanted).map(([listener]) => listener)];
}

/** Properties of a broker that listens on these ports of 127.0.0.1; `keys` where one of them is under TLS. */
export function brokerSettings(ports: Ports, folder: string, security: KafkaSecurity, keys?: ServerKeys): Settings {
  const names = Object.keys(ports) as Listener[];
  const addresses = (listeners: Listener[]) => listeners.map((listener) => `${listener}://127.0.0.1:${ports[listener]}`).join(",");
  return {
    ...FIXED,
    "log.dirs": folder,
    listeners: addresses(names),
    "advertised.listeners": addresses(names.filter((name) => name !== "CONTROLLER")),
    "listener.security.protocol.map": names.map((name) => `${name}:${name === "CONTROLLER" ? "PLAINTEXT" : name}`).join(","),
    "controller.quorum.voters": `1@127.0.0.1:${ports.CONTROLLER}`,
    ...(keys && tlsSettings(keys)),
    ...Object.assign({}, ...names.filter((name) => name.startsWith("SASL_")).map((name) => saslSettings(name, security))),
    ...(security.authorizer && AUTHORIZER),
  };
}

const tlsSettings = ({ keystore, password }: ServerKeys): Settings => ({
  "ssl.keystore.type": "PKCS12",
  "ssl.keystore.location": keystore,
  "ssl.keystore.password": password,
  "ssl.key.password": password,
});

/** The broker's own connections and the tests' come without a name. */
const AUTHORIZER: Readonly<Settings> = {
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": "User:ANONYMOUS",
  "allow.everyone.if.no.acl.found": "false",
};

function saslSettings(listener: Listener, { users = DEFAULT_USERS, oauth }: KafkaSecurity): Settings {
  const prefix = `listener.name.${listener.toLowerCase()}`;
  const passwords = users.map(({ name, password }) => ` user_${name}="${password}"`).join("");
  const login = (mechanism: string, module: string, options = "") => ({
    [`${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`]: `${SECURITY_PACKAGE}.${module} required${options};`,
  });
  return {
    "sasl.enabled.mechanisms": ["PLAIN", ...SCRAM_MECHANISMS, ...(oauth ? ["OAUTHBEARER"] : [])].join(","),
    ...login("PLAIN", "plain.PlainLoginModule", passwords),
    ...login(SCRAM_MECHANISMS[0], "scram.ScramLoginModule"),
    ...login(SCRAM_MECHANISMS[1], "scram.ScramLoginModule"),
    ...(oauth && { ...login("OAUTHBEARER", "oauthbearer.OAuthBearerLoginModule"), ...oauthSettings(prefix, oauth) }),
  };
}

const oauthSettings = (prefix: string, { jwksUrl, issuer, audience }: KafkaOauth): Settings => ({
  [`${prefix}.oauthbearer.sasl.server.callback.handler.class`]: `${SECURITY_PACKAGE}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
  "sasl.oauthbearer.jwks.endpoint.url": jwksUrl,
  "sasl.oauthbearer.expected.issuer": issuer,
  "sasl.oauthbearer.expected.audience": audience,
});

/** The text of a Java properties file. */
export function propertiesText(settings: Readonly<Settings>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value.replaceAll("\\", "\\\\")}\n`)
    .join("");
}
