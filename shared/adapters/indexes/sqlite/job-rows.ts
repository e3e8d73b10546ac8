import type { DatabaseSync } from "node:sqlite";
import { IDEMPOTENCY_TTL_MS, type Job, type JobQuery } from "../../../core/ports/job-store.ts";
import { transaction } from "./database.ts";

/** A job as it travels to and from the worker: what the database looks at, and all of it as JSON. */
export type JobRow = Pick<Job, "id" | "kind" | "state" | "collection" | "createdAtMs" | "revision" | "idempotencyKey"> & { body: string };

/** The job store's SQL; jobs are returned as JSON. */
export function createJobRows(database: DatabaseSync) {
  const select = database.prepare("SELECT body FROM job WHERE id = ?");
  const insert = database.prepare(
    "INSERT INTO job (id, kind, state, collection, created_at, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  );
  const replace = database.prepare(
    "UPDATE job SET kind = ?, state = ?, collection = ?, created_at = ?, revision = revision + 1, body = ? WHERE id = ? AND revision = ?",
  );
  const claimKey = database.prepare(`INSERT INTO idempotency (key, job, created_at) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET job = excluded.job, created_at = excluded.created_at WHERE idempotency.created_at <= excluded.created_at - ${IDEMPOTENCY_TTL_MS}`);
  const keyHolder = database.prepare("SELECT job FROM idempotency WHERE key = ?");
  const bodyOf = (id: string) => select.get(id)?.["body"] as string | undefined;

  return {
    insert: (row: JobRow): string =>
      transaction(database, () => {
        // A repeat of a call whose answer was lost finds its own job.
        const stored = bodyOf(row.id);
        if (stored !== undefined) return stored;
        if (row.idempotencyKey !== null && claimKey.run(row.idempotencyKey, row.id, row.createdAtMs).changes === 0) {
          return bodyOf(keyHolder.get(row.idempotencyKey)?.["job"] as string) as string;
        }
        insert.run(row.id, row.kind, row.state, row.collection, row.createdAtMs, row.revision, row.body);
        return row.body;
      }),
    get: bodyOf,
    list(query: JobQuery): string[] {
      const { text, params } = listing(query);
      return database
        .prepare(text)
        .all(...params)
        .map((row) => row["body"] as string);
    },
    /** True where the stored revision was the row's. */
    update: (row: JobRow): boolean =>
      replace.run(row.kind, row.state, row.collection, row.createdAtMs, row.body, row.id, row.revision).changes === 1,
  };
}

function listing({ kind, states, collections, after, limit }: JobQuery): { text: string; params: (string | number)[] } {
  const conditions = ["1"];
  const params: (string | number)[] = [];
  const add = (condition: string, ...values: (string | number)[]) => {
    conditions.push(condition);
    params.push(...values);
  };
  if (kind) add("kind = ?", kind);
  if (states) add("state IN (SELECT value FROM json_each(?))", JSON.stringify(states));
  if (collections) add("collection IN (SELECT value FROM json_each(?))", JSON.stringify(collections));
  if (after) add("(created_at, id) < (?, ?)", after.createdAtMs, after.id);
  const text = `SELECT body FROM job WHERE ${conditions.join(" AND ")} ORDER BY created_at DESC, id DESC LIMIT ?`;
  return { text, params: [...params, Math.max(0, limit)] };
}
