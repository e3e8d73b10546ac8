import { randomUUID } from "node:crypto";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { open as openEventHubs } from "../../shared/adapters/brokers/event-hubs/adapter.ts";
import { open as openServiceBus } from "../../shared/adapters/brokers/service-bus/adapter.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AmqpsFront, startAmqpsFront } from "../services/amqps-front.ts";
import { type Azurite, type Certificate, certificateMissing, makeCertificate, startAzurite } from "../services/azurite.ts";
import { type IdentityEndpoint, startIdentityEndpoint } from "../services/identity-endpoint.ts";
import { type ServiceBusServer, startServiceBusServer } from "../services/service-bus-server.ts";
import { eventually, freshTopic, numbered, receiveAll, texts } from "./support-sources.ts";

const NAMESPACE = "persistor.servicebus.windows.net";
const STORAGE = "https://storage.azure.com";
const GROUP = "persistor";

describeWhere(certificateMissing(), "brokers of Azure with an identity", () => {
  const trusted = getCACertificates("default");
  const opened: Broker[] = [];
  let certificate: Certificate;
  let server: ServiceBusServer;
  let front: AmqpsFront;
  let azurite: Azurite;
  let endpoint: IdentityEndpoint;

  beforeAll(async () => {
    certificate = makeCertificate();
    setDefaultCACertificates([...trusted, certificate.pem]);
    [server, azurite, endpoint] = await Promise.all([startServiceBusServer(), startAzurite({ certificate }), startIdentityEndpoint()]);
    front = await startAmqpsFront(certificate, server.port);
  });
  beforeEach(() => {
    identity = { credential: "managedidentity", clientId: randomUUID() };
    endpoint.asked.length = 0;
    front.hosts.length = 0;
    for (const [name, value] of Object.entries(endpoint.env)) vi.stubEnv(name, value);
  });
  afterEach(async () => {
    endpoint.refuseWith(undefined);
    await Promise.all(opened.splice(0).map((broker) => broker.close()));
    vi.unstubAllEnvs();
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    front.close();
    certificate.remove();
    await Promise.all([endpoint.close(), azurite.stop(), server.stop()]);
  });

  /** Of one test: tokens are kept by the identity that they are for. */
  let identity: { credential: string; clientId: string };
  const KINDS = [
    {
      name: "service-bus",
      resource: "https://servicebus.azure.net/",
      open: () => openServiceBus({ fullyQualifiedNamespace: NAMESPACE, ...identity }, { dataDir: "", log: NO_LOG }),
      create: (topic: string) => server.createQueue(topic),
      own: { entity: "queue" },
      storage: [] as string[],
    },
    {
      name: "event-hubs",
      resource: "https://eventhubs.azure.net/",
      open: () =>
        openEventHubs(
          { fullyQualifiedNamespace: NAMESPACE, ...identity, storage: { blobServiceUri: azurite.url, ...identity } },
          { dataDir: "", log: NO_LOG },
        ),
      create: (topic: string) => server.createEventHub(topic, { partitions: 2, consumerGroups: [GROUP] }),
      own: {},
      storage: [STORAGE],
    },
  ];
  type Kind = (typeof KINDS)[number];

  /** A broker, its source of a fresh topic, and how to publish to that. */
  const start = async (kind: Kind) => {
    const topic = freshTopic("orders");
    await kind.create(topic);
    const broker = await kind.open();
    opened.push(broker);
    const openSource = (): Promise<Source> => broker.openSource({ id: topic, topic, subscription: GROUP, own: kind.own });
    const publish = (payloads: readonly string[]) =>
      broker.publisher.publish(
        topic,
        payloads.map((payload) => messageOf(payload)),
      );
    return { openSource, publish };
  };

  test.each(KINDS)("$name: publishes, receives and settles by the tokens of the user-assigned identity, over TLS", async (kind) => {
    await server.allowIdentityTokens([await endpoint.tokenOf(kind.resource)]);
    const { openSource, publish } = await start(kind);
    expect(endpoint.asked).toEqual([]);
    const payloads = numbered(0, 50);
    expect((await publish(payloads)).every(({ ok }) => ok)).toBe(true);
    const source = await openSource();
    const deliveries = await receiveAll(source, payloads.length);
    expect(texts(deliveries).sort()).toEqual([...payloads].sort());
    expect(await source.acknowledge(deliveries)).toBe(payloads.length);
    await source.close();
    // A second one finds nothing: the first one's settlements have arrived.
    expect(await receiveAll(await openSource(), 1, 2_000)).toEqual([]);
    expect(new Set(front.hosts)).toEqual(new Set([NAMESPACE]));
    expect(new Set(endpoint.asked.map(({ query }) => query.get("resource")))).toEqual(new Set([kind.resource, ...kind.storage]));
    expect(new Set(endpoint.asked.map(({ query }) => query.get("client_id")))).toEqual(new Set([identity.clientId]));
    expect(endpoint.asked.every(({ headers }) => headers["x-identity-header"] === endpoint.env.IDENTITY_HEADER)).toBe(true);
  });

  test.each(KINDS)("$name: says what to correct while no token is to be had, and goes on afterwards", async (kind) => {
    await server.allowIdentityTokens([await endpoint.tokenOf(kind.resource)]);
    const { openSource, publish } = await start(kind);
    endpoint.refuseWith(400);
    const source = await openSource();
    for (const use of [() => publish(["a"]), () => receiveAll(source, 1, 20_000)]) {
      await expect(use()).rejects.toMatchObject({
        code: "broker_unavailable",
        retryable: true,
        message: expect.stringMatching(/No User Assigned .*; no token could be had; .*PERSISTOR_[A-Z_]+__clientId/),
      });
    }
    endpoint.refuseWith(undefined);
    expect((await publish(["b"])).every(({ ok }) => ok)).toBe(true);
    // What failed last may be told once more.
    await eventually(async () => texts(await receiveAll(source, 1).catch(() => [])).includes("b"));
  });

  test.each(KINDS)("$name: says that an identity lacks its role, and shows no token", async (kind) => {
    await server.allowIdentityTokens([]);
    const { openSource, publish } = await start(kind);
    const source = await openSource();
    const token = await endpoint.tokenOf(kind.resource);
    for (const use of [() => publish(["a"]), () => receiveAll(source, 1)]) {
      const error = await use().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "access_denied", message: expect.stringMatching(/; .*identity/) });
      expect(String((error as Error).message)).not.toContain(token);
    }
  });
});
