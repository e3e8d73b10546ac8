import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { digestOf } from "../../shared/core/digest.ts";
import {
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type MessageContent,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import { anyContent, comparable, NASTY_ATTRIBUTES } from "../contract/support-messages.ts";
import { type Local, messagesOf, openLocal, pipelineOf, storedRecords, textContent } from "./support-local.ts";

const ROUNDS = 5;
const BYTES_256 = Uint8Array.from({ length: 256 }, (_, i) => i);
const NOTHING = new Uint8Array(0);

/** Formats and codecs along the chain: each round reads what another wrote. */
const STORES: Record<string, unknown>[] = [
  { name: "local", path: "{topic}/{attribute:type}" },
  { name: "local", path: "{topic}", codec: "deflate" },
  { name: "local", path: "{topic}", codec: "null", prefix: "plain" },
  { name: "local", path: "{topic}/{attribute:type}", format: "raw" },
  { kind: "fs", path: "", prefix: "deep/er" },
  { name: "local", path: "{topic}", codec: "zstandard" },
];

const plain = (change: Partial<MessageContent> = {}) => textContent("payload", { contentType: "", ...change });

const CONTENTS: Record<string, MessageContent> = {
  "nothing at all": plain({ payload: NOTHING }),
  "a null payload": plain({ payloadKind: "null", payload: NOTHING }),
  "a null payload with all else": plain({
    payloadKind: "null",
    payload: NOTHING,
    attributes: NASTY_ATTRIBUTES,
    key: Buffer.from("k"),
    orderingKey: "o",
    contentType: "application/json",
  }),
  "an AMQP value": plain({ payloadKind: "amqp-value", payload: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 1]) }),
  "an AMQP sequence": plain({ payloadKind: "amqp-sequence", payload: Buffer.from([0x45]) }),
  "every byte": plain({ payload: BYTES_256 }),
  "one megabyte": plain({ payload: Buffer.alloc(1_000_000, "0123456789abcdef") }),
  "ten megabytes": plain({ payload: Buffer.alloc(10_000_000, BYTES_256), attributes: [stringAttribute("type", "large")] }),
  "no key": plain({ key: null }),
  "an empty key": plain({ key: NOTHING }),
  "a binary key": plain({ key: BYTES_256 }),
  "an ordering key": plain({ orderingKey: "käse/../\u0000\u{1F600}" }),
  "a content type": plain({ contentType: 'application/json; charset="utf-8"; v=\u{1F600}' }),
  "attributes that break systems": plain({ attributes: NASTY_ATTRIBUTES }),
  "names that are taken": plain({
    attributes: [
      "constructor",
      "prototype",
      "hasOwnProperty",
      "toString",
      "$where",
      "$",
      ".",
      "..",
      "a.b",
      "persistor",
      "ID",
      "digest",
    ].map((name) => stringAttribute(name, name)),
  }),
  "a name that repeats in other kinds": plain({
    attributes: [
      stringAttribute("type", "second"),
      longAttribute("type", 1n),
      stringAttribute("other", "between"),
      nullAttribute("type"),
      stringAttribute("type", "second"),
      stringAttribute("__proto__", "a"),
      booleanAttribute("__proto__", false),
    ],
  }),
  "a value of 64 KB": plain({
    attributes: [stringAttribute("large", "x".repeat(65_536)), binaryAttribute("blob", Buffer.alloc(65_536, 7))],
  }),
  "text of all planes": plain({
    attributes: [
      stringAttribute("\u{1D11E}", "\u{10FFFF}\u{1F468}\u200D\u{1F469}\u200D\u{1F467}"),
      stringAttribute("\u05E9\u05DC\u05D5\u05DD", "\u202Eright to left\u202C \u0645\u0631\u062D\u0628\u0627"),
      stringAttribute("e\u0301", "e\u0301 is not \u00E9"),
      stringAttribute("\u00E9", "\uFEFF\u0000\u2028"),
    ],
  }),
  "numbers at their ends": plain({
    attributes: [
      longAttribute("least", -(2n ** 63n)),
      longAttribute("most", 2n ** 63n - 1n),
      longAttribute("unsafe", 2n ** 53n + 1n),
      doubleAttribute("minus zero", -0),
      doubleAttribute("nan", Number.NaN),
      doubleAttribute("infinite", Number.NEGATIVE_INFINITY),
      doubleAttribute("tiny", 5e-324),
      timestampAttribute("before 1970", -1n),
      timestampAttribute("far", 253_402_300_800_000n),
      booleanAttribute("yes", true),
      booleanAttribute("no", false),
    ],
  }),
  "the broker's own properties": plain({
    system: [
      stringAttribute("correlation-id", "c"),
      binaryAttribute("message-id", BYTES_256),
      longAttribute("ttl", 60_000n),
      nullAttribute("reply-to"),
      stringAttribute("subject", ""),
      stringAttribute("subject", "twice"),
      { name: "group-id", kind: "amqp:uuid", value: new Uint8Array(16).fill(9) },
    ],
  }),
  "names that a dead letter has": plain({
    attributes: [stringAttribute("deadLetterErrorReason", "mine"), stringAttribute("persistor-dead-letter-location", "../../x")],
  }),
  "what annotating adds": plain({ attributes: [stringAttribute("persistor-original-id", "mine")] }),
};

let local: Local;
let contents: MessageContent[];

beforeAll(async () => {
  contents = [...Object.values(CONTENTS), ...fc.sample(anyContent, { numRuns: 150, seed: 20_260_101 })];
  const pipelines = Object.fromEntries(
    STORES.map((store, round) => [
      `t${round}`,
      { ...pipelineOf(`t${round}`), store, batch: { maxMessages: 40, maxBytes: 2_000_000, maxWaitMs: 200 } },
    ]),
  );
  local = await openLocal(pipelines);
  await local.publish("t0", contents);
  await local.indexed("t0", contents.length);
  for (let round = 0; round < ROUNDS; round++) {
    const { job, summary } = await local.resubmit(`t${round}`, `t${round + 1}`);
    expect(job.state).toBe("succeeded");
    expect(summary).toMatchObject({ failures: 0, counts: { published: contents.length, verified: contents.length } });
    await local.indexed(`t${round + 1}`, contents.length);
  }
}, 120_000);
afterAll(() => local.dispose());

/** All of a message as text, a long payload as its hash. */
const textOf = (content: MessageContent) => {
  const payload = content.payload.length > 10_000 ? createHash("sha256").update(content.payload).digest() : content.payload;
  return JSON.stringify(comparable({ ...content, payload }));
};
const hexDigest = (content: MessageContent) => digestOf(content).toString("hex");

async function storedIn(round: number): Promise<StoredRecord[]> {
  const prefix = local.composition.pipelines.get(`t${round}`)?.store.prefix;
  return (await storedRecords(local, `t${round}`, prefix || `t${round}/`)).map(({ record }) => record);
}

describe("persist, resubmit and persist again", () => {
  it.each([0, 1, 2, 3, 4, 5])("keeps every field of every message, round %i", async (round) => {
    const stored = (await storedIn(round)).map(({ message }) => textOf(message)).sort();
    const altered = contents.flatMap((content, i) => {
      const found = stored.indexOf(textOf(content));
      if (found >= 0) stored.splice(found, 1);
      return found >= 0 ? [] : [Object.keys(CONTENTS)[i] ?? `sample ${i}`];
    });
    expect(altered).toEqual([]);
    expect(stored).toHaveLength(0);
  });

  it("keeps every digest and size, in the stored objects and in each index", async () => {
    const digests = contents.map(hexDigest).sort();
    const sizes = contents.map((content) => `${hexDigest(content)} ${content.payload.length}`).sort();
    for (let round = 0; round <= ROUNDS; round++) {
      const stored = await storedIn(round);
      expect(stored.map(({ digest }) => digest.toString("hex")).sort()).toEqual(digests);
      const records = await local.records(`t${round}`);
      expect(records.map(({ digest, payload_size }) => `${digest} ${payload_size}`).sort()).toEqual(sizes);
    }
  });

  it("keeps the order of the messages of one ordering key", async () => {
    const inOrder = Array.from({ length: 20 }, (_, n) =>
      plain({ orderingKey: "käse/../\u0000\u{1F600}", payload: Buffer.from(String(n)) }),
    );
    await local.publish("t0", inOrder);
    await local.indexed("t0", contents.length + inOrder.length);
    await local.resubmit("t0", "ordered", { ordered: true });
    const sent = (await messagesOf(local, "ordered")).filter(({ orderingKey }) => orderingKey === inOrder[0]?.orderingKey);
    expect(sent.map(textOf)).toEqual([CONTENTS["an ordering key"] as MessageContent, ...inOrder].map(textOf));
  });

  it("wrote each round in the format and with the codec that it was given", async () => {
    const codecs = await Promise.all(STORES.map(async (_, round) => new Set((await local.records(`t${round}`)).map(({ codec }) => codec))));
    expect(codecs).toEqual(["zstandard", "deflate", "null", "raw", "zstandard", "zstandard"].map((codec) => new Set([codec])));
  });

  it("finds nothing amiss between the stores and the indexes", async () => {
    for (let round = 0; round <= ROUNDS; round++) {
      const { length } = await local.records(`t${round}`);
      expect(await local.audit(`t${round}`)).toMatchObject({
        records: length,
        indexed: length,
        index_records: length,
        duplicates: 0,
        missing_in_index: 0,
        missing_in_store: 0,
        unreadable_objects: 0,
      });
    }
  });
});
