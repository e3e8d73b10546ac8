import type { DatabaseSync } from "node:sqlite";
import type { ItemQuery, ItemState, ItemUpdate, LeaseOptions, WorkCounts, WorkItem, WorkSummary } from "../../../core/ports/work-items.ts";

/** An item as it travels to and from the worker: its large parts as JSON. */
export type ItemRow = Omit<WorkItem, "entries" | "failures"> & { entries: string; failures: string; failureCount: number };
export type UpdateRow = Omit<ItemUpdate, "entries" | "failures"> & { entries: string; failures: string; failureCount: number };

export interface UpdateCall {
  item: Pick<WorkItem, "jobId" | "number" | "attempt">;
  update: UpdateRow;
}

const COLUMNS =
  "job, number, lane, state, attempt, lease_until, not_before, indexed, fetched, deserialized, published, verified, failure_count, failures, entries";

const OPEN = "state IN ('planned', 'leased')";
const DUE = "((i.state = 'planned' AND i.not_before <= ?) OR (i.state = 'leased' AND i.lease_until <= ?))";
const HAS_ITS_TURN = `(i.lane IS NULL OR NOT EXISTS (
  SELECT 1 FROM item e INDEXED BY item_lane WHERE e.job = i.job AND e.lane = i.lane AND e.lane IS NOT NULL AND e.number < i.number AND e.${OPEN}))`;

/** The next item, and its lease, in one statement: two callers cannot get the same. */
function leaseSql(isOfOneJob: boolean): string {
  return `UPDATE item SET state = 'leased', attempt = attempt + 1, lease_until = ? WHERE rowid = (
    SELECT i.rowid FROM item i INDEXED BY item_open WHERE i.${OPEN} ${isOfOneJob ? "AND i.job = ?" : ""} AND ${DUE} AND ${HAS_ITS_TURN}
    ORDER BY i.job, i.number LIMIT 1) RETURNING ${COLUMNS}`;
}

/** The work items' SQL. */
export function createItemRows(database: DatabaseSync) {
  const insert = database.prepare(
    `INSERT INTO item (${COLUMNS}) VALUES (${COLUMNS.split(",").map(() => "?")}) ON CONFLICT (job, number) DO NOTHING`,
  );
  const leaseAny = database.prepare(leaseSql(false));
  const leaseOfJob = database.prepare(leaseSql(true));
  const update =
    database.prepare(`UPDATE item SET state = ?, lease_until = ?, not_before = ?, indexed = ?, fetched = ?, deserialized = ?, published = ?,
    verified = ?, failure_count = ?, failures = ?, entries = ? WHERE job = ? AND number = ? AND attempt = ?`);
  const sums = database.prepare(`SELECT coalesce(sum(indexed), 0) AS indexed, coalesce(sum(fetched), 0) AS fetched,
    coalesce(sum(deserialized), 0) AS deserialized, coalesce(sum(published), 0) AS published, coalesce(sum(verified), 0) AS verified,
    coalesce(sum(failure_count), 0) AS failures, count(*) FILTER (WHERE state = 'planned') AS planned, count(*) FILTER (WHERE state = 'leased') AS leased,
    count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM item WHERE job = ?`);

  return {
    /** To be called in a transaction. */
    insert(rows: readonly ItemRow[]): void {
      for (const row of rows) insert.run(...cellsOf(row));
    },
    lease({ jobId, nowMs, leaseMs }: LeaseOptions): ItemRow | undefined {
      const until = nowMs + leaseMs;
      const [found] = jobId === undefined ? leaseAny.all(until, nowMs, nowMs) : leaseOfJob.all(until, jobId, nowMs, nowMs);
      return found && rowOf(found);
    },
    update({ item, update: row }: UpdateCall): boolean {
      const state = [row.state, row.leaseUntilMs, row.notBeforeMs];
      const result = [row.failureCount, row.failures, row.entries];
      return update.run(...state, ...countsOf(row.counts), ...result, item.jobId, item.number, item.attempt).changes === 1;
    },
    summarize(jobId: string): WorkSummary {
      const { indexed, fetched, deserialized, published, verified, ...rest } = sums.get(jobId) as unknown as WorkCounts &
        Omit<WorkSummary, "counts">;
      return { ...rest, counts: { indexed, fetched, deserialized, published, verified } };
    },
    list(jobId: string, query: ItemQuery): ItemRow[] {
      const { text, params } = listing(jobId, query);
      return database
        .prepare(text)
        .all(...params)
        .map(rowOf);
    },
  };
}

function countsOf({ indexed, fetched, deserialized, published, verified }: WorkCounts): number[] {
  return [indexed, fetched, deserialized, published, verified];
}

function cellsOf(row: ItemRow): (string | number | null)[] {
  const state = [row.state, row.attempt, row.leaseUntilMs, row.notBeforeMs];
  return [row.jobId, row.number, row.lane, ...state, ...countsOf(row.counts), row.failureCount, row.failures, row.entries];
}

function rowOf(found: Record<string, unknown>): ItemRow {
  const row = found as Record<string, number> & { job: string; lane: string | null; state: ItemState; failures: string; entries: string };
  const { indexed = 0, fetched = 0, deserialized = 0, published = 0, verified = 0 } = row;
  return {
    jobId: row.job,
    number: row.number as number,
    lane: row.lane,
    state: row.state,
    attempt: row.attempt as number,
    leaseUntilMs: row.lease_until as number,
    notBeforeMs: row.not_before as number,
    counts: { indexed, fetched, deserialized, published, verified },
    failureCount: row.failure_count as number,
    failures: row.failures,
    entries: row.entries,
  };
}

function listing(jobId: string, { states, withFailures, after, limit }: ItemQuery): { text: string; params: (string | number)[] } {
  const conditions = ["job = ?"];
  const params: (string | number)[] = [jobId];
  if (states) {
    conditions.push("state IN (SELECT value FROM json_each(?))");
    params.push(JSON.stringify(states));
  }
  if (withFailures) conditions.push("failure_count > 0");
  if (after !== undefined) {
    conditions.push("number > ?");
    params.push(after);
  }
  return {
    text: `SELECT ${COLUMNS} FROM item WHERE ${conditions.join(" AND ")} ORDER BY number LIMIT ?`,
    params: [...params, Math.max(0, limit)],
  };
}
