import { describe, expect, it } from "vitest";
import { z } from "zod";
import { InvalidInput } from "../../shared/core/errors.ts";
import { parseFilter } from "../../shared/core/filter/parse.ts";
import { filterBodySchema } from "../../shared/core/filter/schema.ts";
import { parseTime } from "../../shared/core/filter/time.ts";

function faultsOf(body: unknown): string[] {
  try {
    parseFilter(body);
  } catch (error) {
    if (error instanceof InvalidInput) return error.faults.map((fault) => fault.path);
    throw error;
  }
  throw new Error("the filter was taken");
}

const attribute = (name: string) => ({ kind: "attribute", name });
const nested = (levels: number) => JSON.parse(`${'{"not":'.repeat(levels)}{}${"}".repeat(levels)}`);

describe("parseFilter", () => {
  it("takes any of the filters, all fields of each", () => {
    expect(parseFilter({ filters: [{ broker_id: "a", "additional_metadata.mag": { $gte: 4.5, $lt: 7 } }, {}] })).toEqual({
      op: "any",
      of: [
        {
          op: "all",
          of: [
            { op: "$eq", field: { kind: "record", name: "broker_id" }, value: "a" },
            { op: "$gte", field: attribute("mag"), value: 4.5 },
            { op: "$lt", field: attribute("mag"), value: 7 },
          ],
        },
        { op: "all", of: [] },
      ],
    });
  });

  it("takes all, any and not within one another, also beside fields", () => {
    expect(
      parseFilter({ not: { any: [{ partition: "1" }, { not: { "additional_metadata.x": true } }], sequence: { $in: [1, -0] } } }),
    ).toEqual({
      op: "not",
      of: {
        op: "all",
        of: [
          {
            op: "any",
            of: [
              { op: "$eq", field: { kind: "record", name: "partition" }, value: "1" },
              { op: "not", of: { op: "$eq", field: attribute("x"), value: true } },
            ],
          },
          { op: "$in", field: { kind: "record", name: "sequence" }, values: [1, 0] },
        ],
      },
    });
  });

  it.each(["", "a.b", "$eq", "__proto__", "constructor", "\u0000", "💚", "."])("takes the attribute name %j", (name) => {
    const body = JSON.parse(`{"all": [{${JSON.stringify(`additional_metadata.${name}`)}: 1}]}`);
    expect(parseFilter(body)).toEqual({ op: "$eq", field: attribute(name), value: 1 });
  });

  it("reads times at milliseconds", () => {
    const of = ["2024-02-29T12:00:00.1239+02:00", "2024-02-29 10:00:00"].map((text) => parseFilter({ all: [{ publish_time: text }] }));
    expect(of.map((filter) => "value" in filter && filter.value)).toEqual([
      Date.UTC(2024, 1, 29, 10, 0, 0, 123),
      Date.UTC(2024, 1, 29, 10),
    ]);
  });

  it.each<[string, unknown, string[]]>([
    ["no object", [], [""]],
    ["nothing", null, [""]],
    ["text", "filters", [""]],
    ["an empty body", {}, [""]],
    ["two groups", { all: [{}], any: [{}] }, [""]],
    ["an unknown key beside", { filters: [{}], limit: 5 }, ["limit"]],
    ["an own __proto__", JSON.parse('{"filters": [{}], "__proto__": {}}'), ["__proto__"]],
    ["__proto__ as a field", JSON.parse('{"filters": [{"__proto__": {"$eq": 1}}]}'), ["filters[0].__proto__"]],
    ["constructor as a field", { filters: [{ constructor: 1 }] }, ["filters[0].constructor"]],
    ["an empty list", { filters: [] }, ["filters"]],
    ["an empty nested list", { all: [{ any: [] }] }, ["all[0].any"]],
    ["no list", { filters: {} }, ["filters"]],
    ["no object in a list", { filters: [1, null] }, ["filters[0]", "filters[1]"]],
    ["a list under not", { not: [{}] }, ["not"]],
    ["an unknown field", { filters: [{ additional_metadata: 1, mag: 2 }] }, ["filters[0].additional_metadata", "filters[0].mag"]],
    ["filters below the top", { all: [{ filters: [{}] }] }, ["all[0].filters"]],
    ["an unknown operator", { filters: [{ "additional_metadata.mag": { $regex: "." } }] }, ["filters[0].additional_metadata.mag.$regex"]],
    ["no operator", { filters: [{ "additional_metadata.mag": {} }] }, ["filters[0].additional_metadata.mag"]],
    [
      "null",
      { filters: [{ "additional_metadata.mag": null }, { broker_id: { $ne: null } }] },
      ["filters[0].additional_metadata.mag", "filters[1].broker_id.$ne"],
    ],
    ["null in a list", { all: [{ digest: { $in: ["a", null] } }] }, ["all[0].digest.$in[1]"]],
    ["a list as a value", { all: [{ digest: ["a"] }] }, ["all[0].digest"]],
    ["an empty $in", { all: [{ digest: { $in: [] } }] }, ["all[0].digest.$in"]],
    ["an object as an operand", { all: [{ "additional_metadata.x": { $eq: { a: 1 } } }] }, ["all[0].additional_metadata.x.$eq"]],
    ["a number for text", { all: [{ broker_id: 5 }] }, ["all[0].broker_id"]],
    ["text for a number", { all: [{ payload_size: { $gt: "5" } }] }, ["all[0].payload_size.$gt"]],
    ["a boolean for text", { all: [{ broker_id: true }] }, ["all[0].broker_id"]],
    ["a number for a time", { all: [{ publish_time: 5 }] }, ["all[0].publish_time"]],
    ["an order of booleans", { all: [{ "additional_metadata.x": { $gt: true } }] }, ["all[0].additional_metadata.x.$gt"]],
    ["text for $exists", { all: [{ "additional_metadata.x": { $exists: "yes" } }] }, ["all[0].additional_metadata.x.$exists"]],
    ["an infinite number", JSON.parse('{"all": [{"payload_size": 1e999}]}'), ["all[0].payload_size"]],
    ["text that is too long", { all: [{ broker_id: "é".repeat(513) }] }, ["all[0].broker_id"]],
    ["half a character", { all: [{ broker_id: "\ud800" }] }, ["all[0].broker_id"]],
    ["half a character in a name", { all: [{ "additional_metadata.\udc00": 1 }] }, ["all[0].additional_metadata.\udc00"]],
    ["11 levels", nested(11), [Array(11).fill("not").join(".")]],
  ])("refuses %s and names the place", (_, body, paths) => {
    expect(faultsOf(body)).toEqual(paths);
  });

  it("takes 10 levels, 1,000 comparisons and 10,000 values, and text of 1,024 bytes", () => {
    parseFilter(nested(10));
    parseFilter({ any: Array.from({ length: 1000 }, (_, i) => ({ sequence: i })) });
    parseFilter({ all: [{ "additional_metadata.x": { $in: Array.from({ length: 10_000 }, (_, i) => i) } }] });
    parseFilter({ all: [{ broker_id: "é".repeat(512) }] });
  });

  it("refuses more than that", () => {
    expect(faultsOf({ any: Array.from({ length: 1001 }, (_, i) => ({ sequence: i })) })).toEqual(["any[1000].sequence"]);
    expect(faultsOf({ any: Array.from({ length: 1001 }, () => ({})) })).toEqual(["any[1000]"]);
    expect(faultsOf({ all: [{ digest: { $in: Array(10_001).fill("x") } }] })).toEqual(["all[0].digest.$in"]);
    expect(faultsOf(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`x${i}`, i])))).toHaveLength(20);
  });

  it.each([1000, 100_000])("refuses %d levels without falling over", (levels) => {
    expect(faultsOf(nested(levels))).toHaveLength(1);
    expect(faultsOf(JSON.parse(`{"all":${"[".repeat(levels)}${"]".repeat(levels)}}`))).toHaveLength(1);
  });

  it("describes its body as JSON Schema", () => {
    const schema = z.toJSONSchema(filterBodySchema);
    expect(JSON.stringify(schema)).toContain("additional_metadata");
    expect(filterBodySchema.safeParse({ filters: [{ broker_id: "a", any: [{ "additional_metadata.x": { $gt: 1 } }] }] }).success).toBe(
      true,
    );
    expect(filterBodySchema.safeParse({ filters: [] }).success).toBe(false);
  });
});

describe("parseTime", () => {
  it.each([
    ["1970-01-01T00:00:00Z", 0],
    ["1970-01-01t00:00:00.5z", 500],
    ["1970-01-01T00:00:00-00:01", 60_000],
    ["1970-01-01 00:00:01", 1000],
    ["1970-01-01 00:00:01+01:00", -3_599_000],
    ["0001-01-01T00:00:00Z", -62_135_596_800_000],
    ["9999-12-31T23:59:59.9999Z", 253_402_300_799_999],
    ["2000-02-29T00:00:00Z", 951_782_400_000],
  ])("reads %s", (text, ms) => {
    expect(parseTime(text)).toBe(ms);
  });

  it.each([
    "",
    "now",
    "2024-01-01",
    "2024-01-01T00:00Z",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:00.Z",
    "2024-01-01  00:00:00",
    " 2024-01-01 00:00:00",
    "2024-01-01 00:00:00\n",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00+0100",
    "0000-12-31T23:59:59Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "12024-01-01T00:00:00Z",
    "２０２４-01-01T00:00:00Z",
  ])("refuses %j", (text) => {
    expect(() => parseTime(text, "from")).toThrow(InvalidInput);
  });
});
