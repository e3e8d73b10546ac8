import { describe, expect, it } from "vitest";
import { setUp } from "./support-group-commit.ts";

describe("group commit where callers come back once they are answered", () => {
  const RETURNING = { maxItems: 1_000, maxHeldItems: 1_000, quietMs: 10, returnMs: 20 };

  /** One flush of so many callers, which is done. */
  async function afterFlushOf(callers: number) {
    const setup = setUp(RETURNING);
    const answered = Promise.all(Array.from({ length: callers }, (_, i) => setup.commits.submit([i])));
    await setup.clock.advance(160);
    setup.flushes[0]?.finish();
    await answered;
    await setup.clock.advance(0);
    return setup;
  }

  it("waits for those whom the last flush answered, and no longer than until all are there", async () => {
    const { clock, flushes, commits } = await afterFlushOf(3);
    void commits.submit([7]);
    void commits.submit([8]);
    await clock.advance(15);
    expect(flushes).toHaveLength(1);
    void commits.submit([9]);
    expect(flushes[1]?.items).toEqual([7, 8, 9]);
  });

  it("joins those who waited while a flush ran with those whom it answered", async () => {
    const { clock, flushes, commits } = setUp(RETURNING);
    const first = Promise.all([commits.submit([1]), commits.submit([2])]);
    await clock.advance(160);
    void commits.submit([3]);
    void commits.submit([4]);
    await clock.advance(1_000);
    flushes[0]?.finish();
    await first;
    await clock.advance(5);
    expect(flushes).toHaveLength(1);
    void commits.submit([5]);
    void commits.submit([6]);
    expect(flushes[1]?.items).toEqual([3, 4, 5, 6]);
  });

  it("counts those who are back before the flush has ended for others", async () => {
    const { clock, flushes, commits } = setUp(RETURNING);
    const again = commits.submit([1]).then(() => commits.submit([2]));
    await clock.advance(160);
    flushes[0]?.finish();
    await clock.advance(0);
    expect(flushes[1]?.items).toEqual([2]);
    flushes[1]?.finish();
    expect(await again).toEqual(["done 2"]);
  });

  it("goes on without those who do not come back", async () => {
    const { clock, flushes, commits } = setUp(RETURNING);
    const first = Promise.all([commits.submit([1]), commits.submit([2])]);
    await clock.advance(160);
    void commits.submit([3]);
    await clock.advance(1_000);
    flushes[0]?.finish();
    await first;
    await clock.advance(0);
    await clock.advance(10);
    expect(flushes).toHaveLength(1);
    await clock.advance(10);
    expect(flushes[1]?.items).toEqual([3]);
  });

  it("goes on without them too where the flush failed", async () => {
    const { clock, flushes, commits } = setUp(RETURNING);
    const first = commits.submit([1]);
    await clock.advance(160);
    void commits.submit([2]);
    flushes[0]?.fail(new Error("disk full"));
    await expect(first).rejects.toThrow("disk full");
    await clock.advance(160);
    expect(flushes[1]?.items).toEqual([2]);
  });

  it("takes who comes later for somebody else, who waits for company as ever", async () => {
    const { clock, flushes, commits } = await afterFlushOf(1);
    await clock.advance(21);
    void commits.submit([5]);
    await clock.advance(79);
    expect(flushes).toHaveLength(1);
    await clock.advance(1);
    expect(flushes[1]?.items).toEqual([5]);
  });

  it("flushes at once what is full, and what it holds when it is closed", async () => {
    const full = await afterFlushOf(3);
    void full.commits.submit(Array.from({ length: 1_000 }, (_, i) => i));
    expect(full.flushes).toHaveLength(2);
    const closed = await afterFlushOf(3);
    void closed.commits.submit([1]);
    void closed.commits.close();
    expect(closed.flushes[1]?.items).toEqual([1]);
  });
});
