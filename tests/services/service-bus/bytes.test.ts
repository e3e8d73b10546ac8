import rhea, { type Typed } from "rhea";
import { describe, expect, it } from "vitest";
import type { ServiceBusServer } from "../service-bus-server.ts";
import { openRaw, type RawClient } from "./raw-client.ts";
import { freshName, serverSuite } from "./support.ts";

const suite = serverSuite();
const { types } = rhea;

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const described = (code: number, value: Buffer): Buffer => Buffer.concat([Buffer.of(0x00, 0x53, code), value]);
const text = (content: string): Buffer => Buffer.concat([Buffer.of(0xa1, Buffer.byteLength(content)), Buffer.from(content)]);
const symbol = (content: string): Buffer => Buffer.concat([Buffer.of(0xa3, content.length), Buffer.from(content)]);
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
/** In the short form where that can be, which rhea itself never writes. */
function compound(short: number, items: readonly Buffer[]): Buffer {
  const content = Buffer.concat(items);
  if (content.length < 255) return Buffer.concat([Buffer.of(short, content.length + 1, items.length), content]);
  return Buffer.concat([Buffer.of(short + 0x10), uint32(content.length + 4), uint32(items.length), content]);
}
const map = (items: readonly Buffer[]): Buffer => compound(0xc1, items);
const list = (items: readonly Buffer[]): Buffer => compound(0xc0, items);

/** Values whose type a client would lose that decodes and encodes. */
const NASTY: Readonly<Record<string, Buffer>> = {
  float: hex("72 3fc00000"),
  "double that is whole": hex("82 4000000000000000"),
  ubyte: hex("50 07"),
  ushort: hex("60 0007"),
  "uint, long form of a small one": hex("70 00000007"),
  ulong: hex("80 ffffffffffffffff"),
  byte: hex("51 f9"),
  short: hex("61 fff9"),
  "long beyond 2^53": hex("81 7ffffffffffffff1"),
  "small long": hex("55 f9"),
  char: hex("73 0001f600"),
  timestamp: hex("83 0000018bcfe56800"),
  uuid: hex("98 00112233445566778899aabbccddeeff"),
  binary: hex("a0 03 00ff10"),
  symbol: symbol("a-symbol"),
  decimal: hex("84 2238000000000001"),
  null: hex("40"),
  true: hex("41"),
  "boolean of a byte": hex("56 01"),
  "": text("under the empty name"),
  "naïve ☂": text("naïve ☂"),
};

const applicationProperties = described(0x74, map(Object.entries(NASTY).flatMap(([name, value]) => [text(name), value])));
/** message-id as uuid, user-id, to, subject, reply-to, correlation-id as ulong: rhea reads some of them otherwise. */
const properties = described(
  0x73,
  list([hex("98 ffeeddccbbaa99887766554433221100"), hex("a0 02 0001"), text("to"), hex("40"), text("reply"), hex("53 05"), symbol("a/b")]),
);
const ofSender = described(0x72, map([symbol("x-opt-partition-key"), text("key"), symbol("x-mine"), hex("50 09")]));
const BODIES: Readonly<Record<string, Buffer>> = {
  "a data section": described(0x75, hex("a0 04 deadbeef")),
  "several data sections": Buffer.concat([described(0x75, hex("a0 01 01")), described(0x75, hex("a0 01 02"))]),
  "a sequence": described(0x76, hex("c0 04 02 54 01 43")),
  "a value": described(0x77, hex("72 3fc00000")),
  "no value, and a footer": Buffer.concat([described(0x77, hex("40")), described(0x78, map([symbol("f"), hex("41")]))]),
};

async function raw(name: string): Promise<RawClient> {
  const client = await openRaw(suite.server);
  suite.onEnd(client.close);
  await client.putToken(name);
  return client;
}

describe.each([
  { kind: "a queue", make: (server: ServiceBusServer, name: string) => server.createQueue(name), from: (name: string) => name },
  {
    kind: "an event hub",
    make: (server: ServiceBusServer, name: string) => server.createEventHub(name, { partitions: 1 }),
    from: (name: string) => `${name}/ConsumerGroups/$Default/Partitions/0`,
  },
])("the bytes of a message in $kind", ({ make, from }) => {
  /** Sends bytes and returns them as they lie and as they are delivered. */
  async function passThrough(bytes: Buffer, format?: number): Promise<{ stored: Buffer; delivered: Buffer }> {
    const name = freshName("entity");
    await make(suite.server, name);
    const client = await raw(name);
    expect(await client.send(await client.openSender(name), bytes, format)).toBe("accepted");
    const [message] = await suite.server.messages(name);
    const delivered = await deliveredBytes(client, from(name));
    return { stored: message?.bytes as Buffer, delivered };
  }

  it.each(Object.keys(BODIES))("stay as they were sent, whatever the properties and with %s", async (kind) => {
    const bare = Buffer.concat([properties, applicationProperties, BODIES[kind] as Buffer]);
    const sent = Buffer.concat([ofSender, bare]);
    const { stored, delivered } = await passThrough(sent);
    expect(stored.equals(sent)).toBe(true);
    expect(delivered.subarray(-bare.length).equals(bare)).toBe(true);
  });

  it("stay when it comes in a batch", async () => {
    const bare = Buffer.concat([properties, applicationProperties, BODIES["a data section"] as Buffer]);
    const one = Buffer.concat([ofSender, bare]);
    const content = Buffer.concat([Buffer.of(0xb0), uint32(one.length), one]);
    const { stored, delivered } = await passThrough(described(0x75, content), 0x80013700);
    expect(stored.equals(one)).toBe(true);
    expect(delivered.subarray(-bare.length).equals(bare)).toBe(true);
  });

  it("are led by the sender's annotations and the broker's, of which no sender may set any", async () => {
    const forged = described(0x72, map([symbol("x-opt-sequence-number"), hex("54 63"), symbol("x-mine"), hex("50 09")]));
    const { delivered } = await passThrough(Buffer.concat([forged, properties, BODIES["a value"] as Buffer]));
    const all = annotationsOf(delivered);
    expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
    const annotations = Object.fromEntries(all);
    expect(annotations["x-mine"]?.type.name).toBe("Ubyte");
    expect(annotations["x-opt-sequence-number"]?.type.name).toMatch(/Long/);
    expect([0, 1]).toContain(annotations["x-opt-sequence-number"]?.value);
    expect(annotations["x-opt-enqueued-time"]?.type.name).toBe("Timestamp");
  });

  it("are refused where they are none of a message", async () => {
    const name = freshName("entity");
    await make(suite.server, name);
    const client = await raw(name);
    const sender = await client.openSender(name);
    expect(await client.send(sender, hex("ff ff ff"))).toBe("rejected");
    expect(await client.send(sender, hex("00 53 75 a0 10 00"))).toBe("rejected");
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 0 });
  });
});

describe("the bytes of a message of a queue", () => {
  it("are changed in the application properties alone when a settlement sets some", async () => {
    const { name, receiver } = await suite.freshQueue();
    const bytes = Buffer.concat([properties, applicationProperties, BODIES["a value"] as Buffer]);
    await suite.server.load(name, [bytes]);
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5_000 });
    if (message) await receiver.deadLetterMessage(message, { deadLetterReason: "Spoilt", deadLetterErrorDescription: "" });
    const delivered = await deliveredBytes(await raw(name), `${name}/$DeadLetterQueue`);
    expect(delivered.includes(properties)).toBe(true);
    expect(delivered.subarray(-(BODIES["a value"] as Buffer).length).equals(BODIES["a value"] as Buffer)).toBe(true);
    for (const [property, value] of Object.entries(NASTY)) expect(delivered.includes(Buffer.concat([text(property), value]))).toBe(true);
    expect(delivered.includes(Buffer.concat([text("DeadLetterReason"), text("Spoilt")]))).toBe(true);
  });

  it("get an id where they have none, and keep their other properties", async () => {
    const { name } = await suite.freshQueue();
    const sent = Buffer.concat([described(0x73, list([hex("40"), hex("a0 02 0001"), text("to")])), BODIES["a value"] as Buffer]);
    await suite.server.load(name, [sent]);
    const delivered = await deliveredBytes(await raw(name), name);
    expect(delivered.includes(Buffer.concat([hex("a0 02 0001"), text("to")]))).toBe(true);
    expect(delivered.toString("latin1")).toMatch(/\xa1\x20[0-9a-f]{32}/);
  });
});

async function deliveredBytes(client: RawClient, address: string): Promise<Buffer> {
  const receiver = await client.openReceiver(address);
  expect(receiver.error).toBeUndefined();
  return client.receiveBytes(receiver);
}

function annotationsOf(bytes: Buffer): [string, Typed][] {
  const reader = new (types as unknown as { Reader: new (bytes: Buffer) => { read(): Typed; remaining(): number } }).Reader(bytes);
  while (reader.remaining() > 0) {
    const section = reader.read();
    if (section.descriptor.value !== 0x72) continue;
    const items = section.value as Typed[];
    return items.flatMap((item, i) => (i % 2 === 0 ? [[item.value, items[i + 1] as Typed] as [string, Typed]] : []));
  }
  return [];
}
