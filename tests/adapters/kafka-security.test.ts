import { rootCertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { messageOf, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { type OidcIssuer, startOidcIssuer } from "../services/oidc-issuer.ts";
import { startTokenServer, type TokenServer } from "../services/token-server.ts";
import { freshTopic, kafkaClients, receiveAll } from "./support-kafka.ts";

const AUDIENCE = "kafka";
const RECEIVE = { maxMessages: 10, maxBytes: 1e6, maxWaitMs: 10_000 };
const ALICE = { username: "alice", password: "alice-secret" };

describeWhere(kafkaBrokerMissing(), "Kafka that asks who one is", () => {
  let kafka: KafkaBroker;
  let issuer: OidcIssuer;
  let tokens: TokenServer;
  const clients = kafkaClients(() => kafka.host);
  beforeAll(async () => {
    issuer = await startOidcIssuer();
    tokens = await startTokenServer({
      clients: { alice: "s3cret" },
      token: (sub, { audience: aud = AUDIENCE }) => issuer.token({ aud, sub }),
      expiresInS: 60,
    });
    const oauth = { jwksUrl: issuer.jwksUri, issuer: issuer.url, audience: AUDIENCE };
    kafka = await startKafkaBroker({ security: { tls: true, sasl: true, saslTls: true, authorizer: true, oauth } });
  });
  afterEach(() => clients.close());
  afterAll(async () => {
    await kafka?.stop();
    await tokens?.stop();
    await issuer?.stop();
  });

  const tls = () => ({ ca: kafka.tls?.ca as string });
  /** Publishes and reads back over a listener. */
  const roundTrip = async (settings: Record<string, unknown>) => {
    const topic = freshTopic("orders");
    await kafka.createTopic(topic);
    for (const operation of ["READ", "WRITE", "DESCRIBE"] as const)
      await kafka.addAcl({ user: "alice", resource: "TOPIC", name: topic, operation });
    await kafka.addAcl({ user: "alice", resource: "GROUP", name: topic, operation: "READ" });
    const broker = await clients.openBroker(settings);
    expect(await broker.publisher.publish(topic, [messageOf("a"), messageOf("b")])).toMatchObject([{ ok: true }, { ok: true }]);
    const source = await broker.openSource({ id: topic, topic, subscription: topic });
    const got = await receiveAll(source, 2);
    expect(got.map(({ message }) => payloadText(message))).toEqual(["a", "b"]);
    expect(await source.acknowledge(got)).toBe(2);
  };
  /** What a publisher and a source say. */
  const failures = async (settings: Record<string, unknown>, topic = "orders") => {
    const broker = await clients.openBroker(settings);
    const source = await broker.openSource({ id: topic, topic, subscription: "group" });
    const failed = (error: unknown) => error as Error & { code: string; retryable: boolean };
    const both = await Promise.all([
      broker.publisher.publish(topic, [messageOf("x")]).catch(failed),
      source.receive(RECEIVE).catch(failed),
    ]);
    await broker.close();
    return both;
  };

  test("is written to and read over TLS", () => roundTrip({ brokers: [kafka.tls?.host], tls: tls() }));

  test.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])(
    "is written to and read as a user by %s, with and without TLS",
    async (mechanism) => {
      await roundTrip({ brokers: [kafka.sasl?.host], sasl: { mechanism, ...ALICE } });
      await roundTrip({ brokers: [kafka.saslTls?.host], tls: tls(), sasl: { mechanism, ...ALICE } });
    },
  );

  test("is written to and read by tokens of an OAuth server, which is asked for one at a time", async () => {
    const oauth = { tokenEndpoint: tokens.url, clientId: "alice", clientSecret: "s3cret", scope: "kafka" };
    const before = tokens.asked();
    await roundTrip({ brokers: [kafka.saslTls?.host], tls: tls(), sasl: { mechanism: "OAUTHBEARER", oauth } });
    expect(tokens.asked() - before).toBe(1);
    expect(tokens.lastForm()).toMatchObject({ grant_type: "client_credentials", scope: "kafka" });
  });

  describe("names what is wrong, for a publisher and for a source, and what to do:", () => {
    const cases: [what: string, settings: () => Record<string, unknown>, text: RegExp][] = [
      ["a certificate that nobody here trusts", () => ({ brokers: [kafka.tls?.host], tls: true }), /tls\.ca/],
      ["another authority's certificate", () => ({ brokers: [kafka.tls?.host], tls: { ca: rootCertificates[0] } }), /tls\.ca/],
      ["a certificate of another host", () => ({ brokers: [kafka.tls?.host], tls: { ...tls(), serverName: "kafka.example" } }), /tls/],
      ["TLS where the listener has none", () => ({ brokers: [kafka.host], tls: tls() }), /tls/],
      ...["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map((mechanism): [string, () => Record<string, unknown>, RegExp] => [
        `a wrong password by ${mechanism}`,
        () => ({ brokers: [kafka.sasl?.host], sasl: { mechanism, username: "alice", password: "wrong" } }),
        /sasl/,
      ]),
      [
        "an unknown user",
        () => ({ brokers: [kafka.sasl?.host], sasl: { mechanism: "SCRAM-SHA-256", username: "nobody", password: "x" } }),
        /sasl/,
      ],
      [
        "a token that the broker refuses",
        () => ({ brokers: [kafka.sasl?.host], sasl: { mechanism: "OAUTHBEARER", oauth: { ...oauthOf(), audience: "others" } } }),
        /refused the token.*sasl/s,
      ],
      [
        "an OAuth server that gives no token",
        () => ({ brokers: [kafka.sasl?.host], sasl: { mechanism: "OAUTHBEARER", oauth: { ...oauthOf(), clientSecret: "wrong" } } }),
        /status 401.*sasl/s,
      ],
    ];
    const oauthOf = () => ({ tokenEndpoint: tokens.url, clientId: "alice", clientSecret: "s3cret" });

    test.each(cases)("%s", async (_, settings, text) => {
      for (const error of await failures(settings())) {
        expect(error).toMatchObject({ code: "access_denied", retryable: false, message: expect.stringMatching(text) });
        expect((error as Error).message).not.toMatch(/wrong|s3cret|alice-secret/);
      }
    });

    test("no TLS where the listener asks for it, which just closes the connection", async () => {
      for (const error of await failures({ brokers: [kafka.tls?.host] }))
        expect(error).toMatchObject({ code: "broker_unavailable", message: expect.stringMatching(/Connection closed.*set tls/) });
    });

    test("a user who may not write, read or join", async () => {
      const topic = freshTopic("closed");
      await kafka.createTopic(topic);
      const settings = { brokers: [kafka.sasl?.host], sasl: { mechanism: "PLAIN", username: "bob", password: "bob-secret" } };
      for (const error of await failures(settings, topic)) expect(error).toMatchObject({ code: "access_denied", retryable: false });
      await kafka.addAcl({ user: "bob", resource: "TOPIC", name: topic, operation: "DESCRIBE" });
      const [publishing, receiving] = await failures(settings, topic);
      expect(publishing).toMatchObject({ code: "access_denied", message: expect.stringMatching(/CLUSTER_AUTHORIZATION_FAILED.*Write/) });
      expect(receiving).toMatchObject({
        code: "access_denied",
        message: expect.stringMatching(/GROUP_AUTHORIZATION_FAILED.*consumer group/),
      });
      await kafka.addAcl({ user: "bob", resource: "GROUP", name: "group", operation: "READ" });
      const [, reading] = await failures(settings, topic);
      expect(reading).toMatchObject({ code: "access_denied", message: expect.stringMatching(/TOPIC_AUTHORIZATION_FAILED.*Read/) });
    });
  });
});
