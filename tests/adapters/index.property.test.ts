import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { indexes } from "../../shared/adapters/registry.ts";
import type { Comparison, FieldRef, Filter, Operand } from "../../shared/core/filter/ast.ts";
import { matches } from "../../shared/core/filter/evaluate.ts";
import { compareRecords, positionOf } from "../../shared/core/filter/order.ts";
import type { IndexedValue, IndexRecord } from "../../shared/core/index-record.ts";
import type { IndexPosition, MetadataIndex } from "../../shared/core/ports/metadata-index.ts";
import { cutUtf8 } from "../../shared/core/text.ts";
import { describeAdapters } from "../contract/support-ports.ts";
import { sampleRecord } from "./index-samples.ts";

const LONG = "a".repeat(1021);

const NAMES = ["mag", "", "a.b", "$eq", "__proto__", "constructor", "x'; DROP TABLE record; --", "\u0000", "💚"];
const NUMBER_TEXTS = [
  "4.5",
  "1e3",
  "007",
  "-0",
  "0",
  "NaN",
  "1000",
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "9007199254740993.0",
  "-1",
  "1e999",
  " 1",
];
const TEXTS = ["", "a", "a\u0000", "a\u0000b", "b", "true", "false", "\uffff", "\u{10000}", "\u{10FFFF}", "é", "'", '"', "%", "null"];
const LONG_TEXTS = [LONG, `${LONG}aaa`, `${LONG}zzz`, `${LONG}é`, `${LONG}€`, `${LONG}aaab`, `${LONG}💚`, `${LONG}a💚x`, "a".repeat(3000)];

const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NUMBER_TEXTS) },
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 2, arbitrary: fc.constantFrom(...LONG_TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 3 }) },
  { weight: 1, arbitrary: fc.double({ noNaN: true }).map(String) },
);
const number = fc.oneof(
  fc.constantFrom(0, -1, 4.5, 1000, 1, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 0.1, 1e300),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const value: fc.Arbitrary<IndexedValue> = fc.oneof(
  { weight: 6, arbitrary: text },
  { weight: 2, arbitrary: number },
  { weight: 1, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.constantFrom(null, { $binary: "AAE=" }, { $binary: "" }) },
);
const attributes = fc.array(fc.tuple(fc.constantFrom(...NAMES.slice(0, 4), ...NAMES), value), { maxLength: 5 });

/** A record as the core makes it: long values cut, their names told. */
function cut(values: [string, IndexedValue][]): Pick<IndexRecord, "attributes" | "truncated_attributes"> {
  const truncated = new Set<string>();
  const kept = values.map(([name, whole]): [string, IndexedValue] => {
    // JSON and SQLite know no -0.
    if (typeof whole === "number") return [name, whole + 0];
    if (typeof whole !== "string" || Buffer.byteLength(whole) <= 1024) return [name, whole];
    truncated.add(name);
    return [name, cutUtf8(whole, 1024)];
  });
  return truncated.size > 0 ? { attributes: kept, truncated_attributes: [...truncated] } : { attributes: kept };
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const fields = fc.record({
  attributes,
  broker_id: fc.constantFrom("a", "b", "\uffff", "\u{10000}"),
  publish_time: fc.integer({ min: -2, max: 3 }),
  payload_size: fc.integer({ min: 0, max: 3 }),
  location_key: fc.constantFrom("x.avro", "y.avro", "é"),
  store: fc.constantFrom("lake", "pond"),
  sequence: optional(fc.constantFrom<(number | string)[]>(0, 1, 5, -1, 10, "9007199254740993", "-9223372036854775808")),
  ordering_key: optional(fc.constantFrom("k", "\uffff", "\u{10000}")),
  partition: optional(fc.constantFrom("0", "k")),
  content_type: optional(fc.constantFrom("text/plain", "é")),
});

function recordsOf(drawn: (typeof fields extends fc.Arbitrary<infer T> ? T : never)[]): IndexRecord[] {
  return drawn.map(({ attributes: values, ...rest }, i) => {
    const present = Object.fromEntries(Object.entries(rest).filter(([, given]) => given !== undefined));
    return { ...sampleRecord(i, { unique_id: `${["b", "a", "\uffff", "\u{10000}"][i % 4]}${i}` }), ...present, ...cut(values) };
  });
}

const shortText = text.filter((given) => Buffer.byteLength(given) <= 1024 && given.isWellFormed());
const operand = fc.oneof<fc.Arbitrary<Operand>[]>(
  shortText,
  number.map((given) => given + 0),
  fc.boolean(),
);
const attributeField: fc.Arbitrary<FieldRef> = fc
  .constantFrom("missing", ...NAMES.slice(0, 4), ...NAMES)
  .map((name) => ({ kind: "attribute", name }));
const recordField = (name: Extract<FieldRef, { kind: "record" }>["name"]): FieldRef => ({ kind: "record", name });
const COMPARISONS: Comparison[] = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];

const named: fc.Arbitrary<[FieldRef, fc.Arbitrary<Operand>]> = fc.oneof(
  { weight: 5, arbitrary: attributeField.map((field): [FieldRef, fc.Arbitrary<Operand>] => [field, operand]) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<[FieldRef, fc.Arbitrary<Operand>][]>(
      [recordField("publish_time"), fc.integer({ min: -3, max: 4 })],
      [recordField("broker_id"), fc.constantFrom("a", "b", "\uffff", "\u{10000}", "")],
      [recordField("sequence"), fc.constantFrom(0, 1, -1, 5, 4.5)],
      [recordField("payload_size"), fc.constantFrom(0, 1, 1.5, 3)],
      [recordField("location_key"), fc.constantFrom("x.avro", "y.avro", "z", "é")],
      [recordField("store"), fc.constantFrom("lake", "m")],
      [recordField("ordering_key"), fc.constantFrom("k", "\uffff", "\u{10000}")],
      [recordField("partition"), fc.constantFrom("0", "k")],
      [recordField("content_type"), fc.constantFrom("text/plain", "é")],
      [recordField("unique_id"), fc.constantFrom("b0", "a1", "\uffff2", "\u{10000}3", "c")],
    ),
  },
);
const term: fc.Arbitrary<Filter> = named.chain(([field, operands]) =>
  fc.oneof<fc.Arbitrary<Filter>[]>(
    fc.record({ op: fc.constantFrom(...COMPARISONS), field: fc.constant(field), value: operands }),
    fc.record({
      op: fc.constantFrom<("$in" | "$nin")[]>("$in", "$nin"),
      field: fc.constant(field),
      values: fc.array(operands, { minLength: 1, maxLength: 20 }),
    }),
    fc.record({ op: fc.constant("$exists" as const), field: fc.constant(field), exists: fc.boolean() }),
  ),
);
/** Two bounds of one attribute: what a range comes as. */
const range: fc.Arbitrary<Filter> = fc
  .tuple(attributeField, operand, operand, fc.constantFrom<Comparison[]>("$gt", "$gte"), fc.constantFrom<Comparison[]>("$lt", "$lte"))
  .map(([field, lower, upper, more, less]) => ({
    op: "all",
    of: [
      { op: more, field, value: lower },
      { op: less, field, value: upper },
    ],
  }));
const filter = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 4, arbitrary: term },
    { weight: 2, arbitrary: range },
    {
      weight: 3,
      arbitrary: fc.record({ op: fc.constantFrom<("all" | "any")[]>("all", "any"), of: fc.array(tie("filter"), { maxLength: 4 }) }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("not" as const), of: tie("filter") }) },
  ),
})).filter;

/** What was drawn without the characters U+E000 to U+FFFF, for an emulator that sorts those behind all that come after. */
function withoutLastOfPlane<T>(drawn: T): T {
  return JSON.parse(JSON.stringify(drawn).replace(/[\ue000-\uffff]/g, "\u20ac")) as T;
}

await describeAdapters("the reference evaluator and the index", "indexes", Object.keys(indexes), (harness) => {
  let index: MetadataIndex;
  let isNarrow: boolean;
  let remove: () => Promise<void>;
  let collections = 0;

  beforeAll(async () => {
    const fixture = await harness.fresh();
    index = await fixture.openIndex();
    isNarrow = fixture.gaps?.["order past U+FFFF"] !== undefined;
    remove = fixture.dispose;
  });

  afterAll(async () => {
    await index.close();
    await remove();
  });

  /** Enough others that match hardly anything, so that the plans which gather few hits and those which walk are both taken. */
  async function filled(records: IndexRecord[], others: number): Promise<{ collection: string; all: IndexRecord[] }> {
    const collection = `c${collections++}`;
    const rest = Array.from({ length: others }, (_, i) =>
      sampleRecord(i, {
        unique_id: `other${i}`,
        broker_id: "a",
        publish_time: i % 4,
        attributes: [
          ["mag", "4.5"],
          ["a.b", "a"],
        ],
      }),
    );
    const all = [...records, ...rest];
    await index.upsert(collection, all);
    return { collection, all };
  }

  async function walk(collection: string, asked: Filter, order: IndexPosition["order"], limit: number): Promise<IndexRecord[]> {
    const found: IndexRecord[] = [];
    for (let after: IndexPosition | undefined; ; ) {
      const page = await index.find(collection, { filter: asked, order, after, limit });
      found.push(...page);
      const last = page.at(-1);
      if (!last || page.length < limit) return found;
      after = positionOf(last, order);
    }
  }

  it.each([0, 400])("agree on what matches, its order, its pages and its sums (%i other records)", async (others) => {
    const drawn = fc.record({
      records: fc.array(fields, { maxLength: 25 }).map(recordsOf),
      filters: fc.array(filter, { minLength: 12, maxLength: 12 }),
      limit: fc.integer({ min: 1, max: 9 }),
    });
    const property = fc.asyncProperty(drawn, async (whole) => {
      const { records, filters, limit } = isNarrow ? withoutLastOfPlane(whole) : whole;
      const { collection, all } = await filled(records, others);
      for (const asked of filters) {
        const expected = all.filter((record) => matches(asked, record)).sort((a, b) => compareRecords(a, b, "publish"));
        expect(await index.find(collection, { filter: asked, order: "publish", limit: 1000 })).toEqual(expected);
        const [summary] = await index.summarize(collection, asked);
        expect(summary?.count).toBe(expected.length);
        expect(summary?.bytes).toBe(expected.reduce((sum, record) => sum + record.payload_size, 0));
        expect(summary?.objects).toBe(new Set(expected.map((record) => JSON.stringify([record.store, record.location_key]))).size);
        const pageSize = others > 0 ? limit * 10 : limit;
        for (const order of ["publish", "source"] as const) {
          const sorted = expected.toSorted((a, b) => compareRecords(a, b, order)).map((record) => record.unique_id);
          expect((await walk(collection, asked, order, pageSize)).map((record) => record.unique_id)).toEqual(sorted);
        }
      }
    });
    await fc.assert(property, { numRuns: others > 0 ? 20 : 60, endOnFailure: true });
  });
});
