import { type GroupCommit, type GroupCommitOptions, groupCommit } from "../core/group-commit.ts";
import { type IndexDeps, storeRecords } from "../core/index/store-records.ts";
import type { IndexRecord } from "../core/index-record.ts";

/** What is taken of a record for `maxBytes`. */
const RECORD_BYTES = 500;

/** A group commit for each collection, which stores what comes at the same time in one call of the index. */
export function indexCommits(
  collections: readonly { name: string }[],
  deps: IndexDeps,
  options: Omit<GroupCommitOptions<IndexRecord>, "sizeOf" | "clock">,
): Map<string, GroupCommit<IndexRecord, void>> {
  const commitsOf = (name: string) => {
    const flush = (records: readonly IndexRecord[]) => storeRecords(name, records, deps).then(() => records.map(() => undefined));
    return groupCommit<IndexRecord, void>(flush, { ...options, sizeOf: () => RECORD_BYTES, clock: deps.clock });
  };
  return new Map(collections.map(({ name }) => [name, commitsOf(name)]));
}
