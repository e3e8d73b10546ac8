import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
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
import fc from "fast-check";
import { type Local, openLocal, pipelineOf, storedRecords, textContent } from "./support-local.ts";

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
    attributes: ["constructor", "prototype", "hasOwnProperty", "toString", "$where", "$", ".", "..", "a.b", "persistor", "ID", "digest"].map(
      (name) => stringAttribute(name, name),
    ),
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
  "a value of 64 KB": plain({ attributes: [stringAttribute("large", "x".repeat(65_536)), binaryAttribute("blob", Buffer.alloc(65_536, 7))] }),
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
    STORES.map((store, round) => [`t${round}`, { ...pipelineOf(`t${round}`), store, batch: { maxMessages: 40, maxBytes: 2_000_000, maxWaitMs: 200 } }]),
  );
  local = await openLocal(pipelines);
  await local.publish("t0", contents);
  await local.indexed("t0", contents.length);
  for (let round = 0; round < ROUNDS; round++) {
    const { job, summary } = await local.resubmit(`t${round}`, `t${round + 1}`, { ordered: true });
    expect(job.state).toBe("succeeded");
    expect(summary).toMatchObject({ failures: 0, counts: { published: contents.length, verified: contents.length } });
    await local.indexed(`t${round + 1}`, contents.length);
  }
}, 120_000);
afterAll(() => local.dispose());

/** What a round stored, in the order in which it was published. */
async function storedInOrder(round: number): Promise<{ content: MessageContent; digest: string }[]> {
  const prefix = local.composition.pipelines.get(`t${round}`)?.store.prefix;
  const all = await storedRecords(local, `t${round}`, prefix || `t${round}/`);
  return all
    .sort((a, b) => Number(a.record.message.sequence - b.record.message.sequence))
    .map(({ record }) => ({ content: record.message, digest: record.digest.toString("hex") }));
}

describe("persist, resubmit and persist again", () => {
  it.each([0, 1, 2, 3, 4, 5])("keeps every field of every message, round %i", async (round) => {
    const stored = await storedInOrder(round);
    expect(stored).toHaveLength(contents.length);
    for (const [i, content] of contents.entries()) {
      // Compared as text: the runner would take minutes to tell two megabytes apart.
      const same = JSON.stringify(comparable(stored[i]?.content as MessageContent)) === JSON.stringify(comparable(content));
      expect(same, Object.keys(CONTENTS)[i] ?? `sample ${i}`).toBe(true);
    }
  });

  it("keeps every digest, in the stored objects and in each index", async () => {
    const digests = contents.map((content) => digestOf(content).toString("hex"));
    const sequence = ({ sequence: of }: IndexRecord) => Number(of);
    for (let round = 0; round <= ROUNDS; round++) {
      expect((await storedInOrder(round)).map(({ digest }) => digest)).toEqual(digests);
      const records = (await local.records(`t${round}`)).sort((a, b) => sequence(a) - sequence(b));
      expect(records.map(({ digest }) => digest)).toEqual(digests);
      expect(records.map(({ payload_size }) => payload_size)).toEqual(contents.map(({ payload }) => payload.length));
    }
  });

  it("wrote each round in the format and with the codec that it was given", async () => {
    const codecs = await Promise.all(STORES.map(async (_, round) => new Set((await local.records(`t${round}`)).map(({ codec }) => codec))));
    expect(codecs).toEqual(["zstandard", "deflate", "null", "raw", "zstandard", "zstandard"].map((codec) => new Set([codec])));
  });

  it("finds nothing amiss between the stores and the indexes", async () => {
    for (let round = 0; round <= ROUNDS; round++) {
      expect(await local.audit(`t${round}`)).toMatchObject({
        records: contents.length,
        indexed: contents.length,
        duplicates: 0,
        missing_in_index: 0,
        missing_in_store: 0,
        unreadable_objects: 0,
      });
    }
  });
});
