import type { AccessToken, TokenCredential } from "@azure/identity";
import { ServiceBusClient } from "@azure/service-bus";
import { describe, expect, it } from "vitest";
import { openRaw, signedToken } from "./raw-client.ts";
import { ONE_TRY, receiveOne, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;
const UNAUTHORIZED = { code: "UnauthorizedAccess" };
const HOUR_S = 3_600;

const keyOf = (part: "SharedAccessKeyName" | "SharedAccessKey") =>
  new RegExp(`${part}=([^;]+)`).exec(suite.server.connectionString)?.[1] as string;

const signature = (resource: string, validS: number) =>
  signedToken(resource, keyOf("SharedAccessKeyName"), keyOf("SharedAccessKey"), validS);

/** Sends with a connection string in which something is other than it should be. */
async function sendBy(connectionString: string, queue: string): Promise<void> {
  const client = new ServiceBusClient(connectionString, { retryOptions: ONE_TRY });
  suite.onEnd(() => client.close());
  await client.createSender(queue).sendMessages({ body: "one" });
}

describe("a shared access key", () => {
  it("opens the door, and no other does", async () => {
    const { name } = await freshQueue();
    const { connectionString } = suite.server;
    await sendBy(connectionString, name);
    await expect(sendBy(connectionString.replace(keyOf("SharedAccessKey"), "AAAA"), name)).rejects.toMatchObject(UNAUTHORIZED);
    await expect(sendBy(connectionString.replace(keyOf("SharedAccessKeyName"), "Other"), name)).rejects.toMatchObject(UNAUTHORIZED);
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });

  it("is not told by the server's refusal", async () => {
    const { name } = await freshQueue();
    const wrong = suite.server.connectionString.replace(keyOf("SharedAccessKey"), "AAAA");
    const message = await sendBy(wrong, name).catch(String);
    expect(message).toMatch(/InvalidSignature/);
    expect(message).not.toContain(keyOf("SharedAccessKey"));
  });
});

describe("a shared access signature", () => {
  const sendSigned = (queue: string, resource: string, validS: number) =>
    sendBy(
      `Endpoint=sb://127.0.0.1:${suite.server.port};SharedAccessSignature=${signature(resource, validS)};UseDevelopmentEmulator=true`,
      queue,
    );
  const uri = (path: string) => `sb://127.0.0.1:${suite.server.port}/${path}`;

  it("holds for its resource and all below it, until it expires", async () => {
    const { name } = await freshQueue();
    await sendSigned(name, uri(name), HOUR_S);
    await sendSigned(name, uri(""), HOUR_S);
    await expect(sendSigned(name, uri("other"), HOUR_S)).rejects.toMatchObject(UNAUTHORIZED);
    await expect(sendSigned(name, uri(name), -10)).rejects.toMatchObject(UNAUTHORIZED);
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 2 });
  });

  it("lets links go when it has expired and none has renewed it", async () => {
    const { name } = await freshQueue();
    const raw = await openRaw(suite.server);
    suite.onEnd(raw.close);
    expect(await raw.putToken(name, signature(uri(name), 5))).toBe(202);
    const sender = await raw.openSender(name);
    expect(sender.error).toBeUndefined();
    expect(await raw.detached(sender)).toMatchObject({ condition: "amqp:unauthorized-access" });
    expect((await raw.openSender(name)).error).toMatchObject({ condition: "amqp:unauthorized-access" });
  });
});

describe("a link without a token", () => {
  it("is refused, whatever it is for", async () => {
    const { name } = await freshQueue();
    const raw = await openRaw(suite.server);
    suite.onEnd(raw.close);
    for (const address of [name, `${name}/$management`, "no-queue"]) {
      expect((await raw.openSender(address)).error).toMatchObject({ condition: "amqp:unauthorized-access" });
      expect((await raw.openReceiver(address)).error).toMatchObject({ condition: "amqp:unauthorized-access" });
    }
    expect(await raw.putToken("other")).toBe(202);
    expect((await raw.openSender(name)).error).toMatchObject({ condition: "amqp:unauthorized-access" });
    expect(await raw.putToken(name, "SharedAccessSignature sr=%&sig=&se=1&skn=x")).toBe(401);
  });
});

describe("a token of an identity", () => {
  const credential = (token: string): TokenCredential => ({
    getToken: async (): Promise<AccessToken> => ({ token, expiresOnTimestamp: Date.now() + HOUR_S * 1000 }),
  });

  /** The SDK takes a credential with a host only: what follows the host lets it come without TLS. */
  const clientOf = (token: string) => {
    const host = `127.0.0.1:${suite.server.port}/;UseDevelopmentEmulator=true;End=`;
    const client = new ServiceBusClient(host, credential(token), { retryOptions: ONE_TRY });
    suite.onEnd(() => client.close());
    return client;
  };

  it("is taken where the tests have said so", async () => {
    const { name, receiver } = await freshQueue();
    await suite.server.allowIdentityTokens(["known"]);
    await clientOf("known").createSender(name).sendMessages({ body: "one" });
    await expect(clientOf("other").createSender(name).sendMessages({ body: "two" })).rejects.toMatchObject(UNAUTHORIZED);
    expect((await receiveOne(receiver)).body).toBe("one");
    await suite.server.allowIdentityTokens([]);
    await expect(clientOf("known").createSender(name).sendMessages({ body: "three" })).rejects.toMatchObject(UNAUTHORIZED);
  });
});
