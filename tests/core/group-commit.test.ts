import { describe, expect, it } from "vitest";
import { Overloaded } from "../../shared/core/errors.ts";
import { groupCommit } from "../../shared/core/group-commit.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";
import { setUp } from "./support-group-commit.ts";

describe("group commit", () => {
  it("joins what several callers hold into one flush and answers each with its own results", async () => {
    const { clock, flushes, commits } = setUp();
    const first = commits.submit([1, 2]);
    const second = commits.submit([3]);
    await clock.advance(160);
    expect(flushes.map(({ items }) => items)).toEqual([[1, 2, 3]]);
    flushes[0]?.finish();
    expect(await first).toEqual(["done 1", "done 2"]);
    expect(await second).toEqual(["done 3"]);
  });

  it("flushes at once when it is full, by count or by bytes", async () => {
    const byCount = setUp();
    void byCount.commits.submit([1, 2, 3, 4]);
    expect(byCount.flushes).toHaveLength(1);
    const byBytes = setUp({ maxBytes: 2 });
    void byBytes.commits.submit([1, 2]);
    expect(byBytes.flushes).toHaveLength(1);
  });

  it("gathers the next batch while one is being flushed", async () => {
    const { clock, flushes, commits } = setUp();
    const first = commits.submit([1, 2, 3, 4]);
    const second = commits.submit([5]);
    const third = commits.submit([6]);
    await clock.advance(1_000);
    expect(flushes).toHaveLength(1);
    flushes[0]?.finish();
    await first;
    await clock.advance(0);
    expect(flushes[1]?.items).toEqual([5, 6]);
    flushes[1]?.finish();
    expect(await Promise.all([second, third])).toEqual([["done 5"], ["done 6"]]);
  });

  it("never splits one submission over two flushes", async () => {
    const { clock, flushes, commits } = setUp();
    void commits.submit([1, 2, 3]);
    void commits.submit([4, 5, 6]);
    await clock.advance(1_000);
    flushes[0]?.finish();
    await clock.advance(0);
    await clock.advance(1_000);
    expect(flushes.map(({ items }) => items)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  it("fails only the callers of the flush that failed", async () => {
    const { clock, flushes, commits } = setUp();
    const first = commits.submit([1, 2, 3, 4]);
    const second = commits.submit([5]);
    flushes[0]?.fail(new Error("disk full"));
    await expect(first).rejects.toThrow("disk full");
    await clock.advance(1_000);
    flushes[1]?.finish();
    expect(await second).toEqual(["done 5"]);
  });

  it("tells callers to slow down when it holds as much as it may", async () => {
    const { commits } = setUp();
    void commits.submit([1, 2, 3, 4]);
    void commits.submit([5, 6, 7, 8]);
    void commits.submit([9, 10, 11, 12]);
    await expect(commits.submit([13])).rejects.toBeInstanceOf(Overloaded);
  });

  it("waits ever shorter for callers who stay alone, and longer again once they have company", async () => {
    const { clock, flushes, commits } = setUp();
    const alone = async (waitMs: number) => {
      const before = flushes.length;
      const done = commits.submit([1]);
      await clock.advance(waitMs - 1);
      expect(flushes).toHaveLength(before);
      await clock.advance(1);
      expect(flushes).toHaveLength(before + 1);
      flushes[before]?.finish();
      await done;
      await clock.advance(0);
    };
    await alone(160);
    await alone(80);
    await alone(40);
    const joined = Promise.all([commits.submit([1]), commits.submit([2])]);
    await clock.advance(20);
    flushes.at(-1)?.finish();
    await joined;
    await clock.advance(0);
    await alone(40);
  });

  it("tells callers to slow down when it holds as many bytes as it may, but takes a single large one", async () => {
    const { commits } = setUp({ maxHeldBytes: 100, maxBytes: 1_000, sizeOf: (item) => item });
    void commits.submit([500]);
    await expect(commits.submit([1])).rejects.toBeInstanceOf(Overloaded);
    const { commits: others, flushes, clock } = setUp({ maxHeldBytes: 100, sizeOf: (item) => item });
    void others.submit([60]);
    await expect(others.submit([41])).rejects.toBeInstanceOf(Overloaded);
    await clock.advance(160);
    flushes[0]?.finish();
    await clock.advance(0);
    void others.submit([41]);
    await clock.advance(160);
    expect(flushes[1]?.items).toEqual([41]);
  });

  it("stops waiting where callers who came in quick succession come no more", async () => {
    const { clock, flushes, commits } = setUp({ maxItems: 1_000, maxHeldItems: 1_000, quietMs: 10 });
    void commits.submit([1]);
    await clock.advance(1);
    void commits.submit([2]);
    await clock.advance(1);
    void commits.submit([3]);
    await clock.advance(9);
    expect(flushes).toHaveLength(0);
    await clock.advance(1);
    expect(flushes.map(({ items }) => items)).toEqual([[1, 2, 3]]);
  });

  it("waits its whole time for callers who come slowly but steadily, and for one who is alone", async () => {
    const { clock, flushes, commits } = setUp({ maxItems: 1_000, maxHeldItems: 1_000, quietMs: 10 });
    for (let i = 0; i < 4; i++) {
      void commits.submit([i]);
      await clock.advance(30);
    }
    expect(flushes).toHaveLength(0);
    await clock.advance(40);
    expect(flushes).toHaveLength(1);
    flushes[0]?.finish();
    await clock.advance(0);
    void commits.submit([9]);
    await clock.advance(100);
    expect(flushes).toHaveLength(1);
    await clock.advance(60);
    expect(flushes).toHaveLength(2);
  });

  it("flushes what it holds when it is closed, and refuses what comes later", async () => {
    const { flushes, commits } = setUp();
    const held = commits.submit([1]);
    const closed = commits.close();
    expect(flushes).toHaveLength(1);
    await expect(commits.submit([2])).rejects.toMatchObject({ code: "aborted", retryable: true });
    flushes[0]?.finish();
    await closed;
    expect(await held).toEqual(["done 1"]);
  });

  it("refuses a flush that does not answer for every item", async () => {
    const commits = groupCommit<number, string>(async () => ["only one"], {
      maxItems: 2,
      maxBytes: 100,
      maxWaitMs: 1,
      maxInFlight: 1,
      maxHeldItems: 10,
      sizeOf: () => 1,
      clock: fakeClock(),
    });
    await expect(commits.submit([1, 2])).rejects.toThrow("got 1 results");
  });
});
