import { type GroupCommitOptions, groupCommit } from "../../shared/core/group-commit.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";

/** A group commit of numbers on a clock that is moved, and its flushes, which end when the test says so. */
export function setUp(change: Partial<GroupCommitOptions<number>> = {}) {
  const clock = fakeClock();
  const flushes: { items: readonly number[]; finish(): void; fail(error: Error): void }[] = [];
  const commits = groupCommit<number, string>(
    (items) =>
      new Promise((resolve, reject) => {
        flushes.push({ items, finish: () => resolve(items.map((item) => `done ${item}`)), fail: reject });
      }),
    { maxItems: 4, maxBytes: 1_000, maxWaitMs: 160, maxInFlight: 1, maxHeldItems: 12, sizeOf: () => 1, clock, ...change },
  );
  return { clock, flushes, commits };
}
