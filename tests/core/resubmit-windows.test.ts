import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { indexRecordOf } from "../../shared/core/index-record.ts";
import { cutWindow, groupByObject, splitRuns } from "../../shared/core/resubmit/windows.ts";
import { message } from "../fixtures/messages.ts";

function record(number: number, key: string) {
  const location = { position: number, blockOffset: 0, blockLength: 1, blockPosition: 0 };
  const place = { store: "s", key, codec: "null", formatVersion: 1, location };
  return indexRecordOf({ message: message(number), digest: Buffer.alloc(32), ingestionTimeUs: 0, pipeline: "p" }, place);
}

const window = (keys: string) => [...keys].map((key, i) => record(i, key));

describe("planning windows", () => {
  it("are cut where an object ends, so that no object is read twice", () => {
    expect(cutWindow(window("aaaabbbbcc"), false)).toBe(8);
  });

  it("come to the ends of objects soon, whatever the first one began with, so that each later object is read once", () => {
    const keys = "abcdefghij"
      .split("")
      .map((key) => key.repeat(5_000))
      .join("");
    const cuts: number[] = [];
    for (let at = 2_300; at < keys.length; at += cuts.at(-1) ?? 0)
      cuts.push(cutWindow(window(keys.slice(at, at + 6_000)), at + 6_000 >= keys.length));
    expect(cuts).toEqual([2_700, ...Array(8).fill(5_000), 5_000]);
  });

  it("are taken whole at the end of the matches", () => {
    expect(cutWindow(window("aaaabbbbcc"), true)).toBe(10);
  });

  it("are cut between batches whose objects interleave", () => {
    expect(cutWindow(window("ababababcdcdcdc"), false)).toBe(8);
  });

  it("always make headway: at least a sixth of the window is planned", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 60 }), (keys) => {
        const planned = cutWindow(window(keys.join("")), false);
        expect(planned * 6).toBeGreaterThanOrEqual(keys.length);
        expect(planned).toBeLessThanOrEqual(keys.length);
      }),
    );
  });

  it("give every record to exactly one run, within the limits", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 80 }), fc.integer({ min: 1, max: 10 }), (keys, most) => {
        const records = window(keys.join(""));
        const runs = splitRuns(groupByObject(records), most, 100);
        expect(
          runs
            .flat()
            .map(({ location_position }) => location_position)
            .sort((a, b) => a - b),
        ).toEqual(records.map((_, i) => i));
        for (const run of runs) expect(run.length).toBeLessThanOrEqual(most);
      }),
    );
  });
});
