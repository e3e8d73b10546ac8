import { describe, expect, test } from "vitest";
import { metadataMillis, metadataText, metadataWhole } from "../../shared/adapters/support/trigger-metadata.ts";

describe("metadata of a trigger", () => {
  const halves = (value: bigint) => ({
    low: Number(BigInt.asIntN(32, value)),
    high: Number(BigInt.asIntN(32, value >> 32n)),
    unsigned: false,
  });

  test.each([0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)])(
    "holds a whole number exactly in halves: %s",
    (value) => {
      expect(metadataWhole(halves(value))).toEqual({ value, isExact: true });
    },
  );

  test("tells a whole number that may have been rounded from an exact one", () => {
    expect(metadataWhole(2 ** 53 - 1)).toEqual({ value: 2n ** 53n - 1n, isExact: true });
    expect(metadataWhole(2 ** 53)).toEqual({ value: 2n ** 53n, isExact: false });
    expect(metadataWhole("9223372036854775807")).toEqual({ value: 2n ** 63n - 1n, isExact: true });
    for (const none of [undefined, null, {}, "1e3", true]) expect(metadataWhole(none).isExact).toBe(false);
  });

  test("is text again where JSON made something else of a text", () => {
    expect([123, true, "text", { a: 1 }, [1], null, undefined].map(metadataText)).toEqual([
      "123",
      "true",
      "text",
      '{"a":1}',
      "[1]",
      "",
      "",
    ]);
  });

  test("reads times with and without their zone, which is UTC, and what is no time as 0", () => {
    const ms = Date.parse("2026-01-02T03:04:05.678Z");
    for (const text of ["2026-01-02T03:04:05.678", "2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05.6780000+01:00"])
      expect(metadataMillis(text)).toBe(ms);
    for (const none of ["", "soon", undefined, null, {}]) expect(metadataMillis(none)).toBe(0);
  });
});
