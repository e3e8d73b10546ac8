import { describe, expect, it } from "vitest";
import { matches } from "../../shared/core/filter/evaluate.ts";
import { parseFilter } from "../../shared/core/filter/parse.ts";
import type { IndexedValue, IndexRecord } from "../../shared/core/index-record.ts";
import { numberOf, textOf } from "../../shared/core/indexed-value.ts";
import { cutUtf8 } from "../../shared/core/text.ts";
import { sampleRecord } from "../adapters/index-samples.ts";

const holds = (condition: unknown, values: IndexedValue[], fields: Partial<IndexRecord> = {}) =>
  matches(
    parseFilter({ all: [{ "additional_metadata.x": condition }] }),
    sampleRecord(1, { attributes: values.map((value) => ["x", value]), ...fields }),
  );

describe("the number of a value", () => {
  it.each<[IndexedValue, number]>([
    ["4.5", 4.5],
    ["1e3", 1000],
    ["-0", 0],
    ["-0.0", 0],
    ["0", 0],
    ["9007199254740991", 9007199254740991],
    ["-9007199254740991", -9007199254740991],
    ["9007199254740993.0", 9007199254740992],
    ["1E+2", 100],
    [12, 12],
    [1e300, 1e300],
    [0.1, 0.1],
  ])("%j is %d", (value, number) => {
    expect(numberOf(value)).toBe(number);
  });

  it.each<IndexedValue>([
    "007",
    "",
    " 1",
    "1 ",
    "+1",
    ".5",
    "5.",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "1e999",
    "9007199254740992",
    "-9007199254740992",
    "１",
    true,
    null,
    2 ** 53,
  ])("%j has none", (value) => {
    expect(numberOf(value)).toBeUndefined();
  });
});

describe("the text of a value", () => {
  it("is itself, a number's JSON text or that of a boolean; null and binary have none", () => {
    expect(["a", 4.5, -0, true, false, null, { $binary: "AA==" }].map((value) => textOf(value))).toEqual([
      "a",
      "4.5",
      "0",
      "true",
      "false",
      undefined,
      undefined,
    ]);
  });
});

describe("matches", () => {
  it("compares numbers as numbers and texts as texts", () => {
    expect(holds({ $gt: 500 }, ["1200"])).toBe(true);
    expect(holds({ $gt: "500" }, ["1200"])).toBe(false);
    expect(holds({ $gte: 4.5, $lt: 7 }, ["6.99"])).toBe(true);
    expect(holds({ $gte: 4.5, $lt: 7 }, ["7"])).toBe(false);
    expect(holds(1000, ["1e3"])).toBe(true);
    expect(holds("1000", ["1e3"])).toBe(false);
    expect(holds("12", [12])).toBe(true);
    expect(holds(7, ["007"])).toBe(false);
  });

  it("orders text by UTF-8 bytes", () => {
    expect(holds({ $gt: "\uffff" }, ["\u{10000}"])).toBe(true);
    expect(holds({ $lt: "a" }, ["Z"])).toBe(true);
    expect(holds({ $gt: "a" }, ["a\u0000"])).toBe(true);
  });

  it("matches booleans with their texts", () => {
    expect(holds(true, [true])).toBe(true);
    expect(holds(true, ["true"])).toBe(true);
    expect(holds("false", [false])).toBe(true);
    expect(holds({ $in: [false, 1] }, ["1"])).toBe(true);
    expect(holds(true, [1])).toBe(false);
  });

  it("matches a repeated name by any value, its negation by none", () => {
    expect(holds("b", ["a", "b"])).toBe(true);
    expect(holds({ $ne: "b" }, ["a", "b"])).toBe(false);
    expect(holds({ $nin: ["c", "b"] }, ["a", "b"])).toBe(false);
    expect(holds({ $gte: 4, $lt: 7 }, ["1", "10"])).toBe(true);
  });

  it("takes a missing name as unequal and as neither more nor less", () => {
    expect(holds({ $ne: "b" }, [])).toBe(true);
    expect(holds({ $nin: ["b"] }, [])).toBe(true);
    expect(holds({ $gt: "" }, [])).toBe(false);
    expect(holds({ $exists: false }, [])).toBe(true);
  });

  it("knows that null and binary exist, and compares them with nothing", () => {
    for (const value of [null, { $binary: "AA==" }]) {
      expect(holds({ $exists: true }, [value])).toBe(true);
      expect(holds({ $gte: "" }, [value])).toBe(false);
      expect(holds({ $ne: "AA==" }, [value])).toBe(true);
    }
  });

  it("compares a cut value like the whole one", () => {
    for (const whole of [
      `${"a".repeat(1024)}b`,
      `${"a".repeat(1023)}é`,
      `${"a".repeat(1021)}💚`,
      `${"a".repeat(1022)}💚`,
      `${"a".repeat(1022)}€€`,
    ]) {
      const cut = cutUtf8(whole, 1024);
      const flagged = { truncated_attributes: ["x"] };
      const fillers = ["", "a", "é", "\u00e8", "\u007f", "zzz", "ÿ", "€"].map((end) => `${cut}${end}`);
      for (const operand of [...fillers, cut.slice(0, -1), `${cut.slice(0, -1)}z`].filter((text) => Buffer.byteLength(text) <= 1024)) {
        const order = Buffer.compare(Buffer.from(whole), Buffer.from(operand));
        expect(holds(operand, [cut], flagged)).toBe(false);
        expect(holds({ $gt: operand }, [cut], flagged)).toBe(order > 0);
        expect(holds({ $lte: operand }, [cut], flagged)).toBe(order < 0);
      }
    }
  });

  it("does not take a short value for a cut one because its name repeats", () => {
    const flagged = { truncated_attributes: ["x"] };
    expect(holds("short", ["a".repeat(1024), "short"], flagged)).toBe(true);
    expect(holds(5, ["a".repeat(1024), "5"], flagged)).toBe(true);
    expect(holds("a".repeat(1024), ["a".repeat(1024)])).toBe(true);
  });

  it("gives a sequence past 2^53 no number", () => {
    const record = sampleRecord(1, { sequence: "9007199254740993" });
    expect(matches(parseFilter({ all: [{ sequence: { $gt: 0 } }] }), record)).toBe(false);
    expect(matches(parseFilter({ all: [{ sequence: { $exists: true } }] }), record)).toBe(true);
  });
});
