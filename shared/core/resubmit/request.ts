import type { Filter } from "../filter/ast.ts";

/** Which messages of a collection are wanted. Times are milliseconds; bounds are half-open. */
export type Selection =
  | { kind: "ids"; ids: readonly string[] }
  | { kind: "range"; brokerId: string; fromMs: number | null; toMs: number | null }
  | { kind: "filter"; filter: Filter /** As the caller wrote it, to show it again. */; body: unknown };

/** A resubmission as validated; it is stored with its job. */
export interface ResubmitRequest {
  collection: string;
  /** Name of the destination. */
  topic: string;
  selection: Selection;
  /** Matches to pass over, in the order of publish time and unique id. */
  offset: number;
  /** Matches to send at most; null: all. */
  limit: number | null;
  /** In order per ordering key or partition. */
  ordered: boolean;
  /** Messages per second; null: as fast as the destination takes them. */
  rate: number | null;
  /** Adds `persistor-original-*` attributes. */
  annotate: boolean;
}

/** The filter of a selection, with everything published at or after `upperBoundMs` left out. Ids are looked up, not filtered. */
export function filterOf(selection: Selection, upperBoundMs: number): Filter {
  const publishTime = { kind: "record", name: "publish_time" } as const;
  const bounds: Filter[] = [{ op: "$lt", field: publishTime, value: upperBoundMs }];
  if (selection.kind === "filter") bounds.push(selection.filter);
  if (selection.kind === "ids") bounds.push({ op: "$in", field: { kind: "record", name: "unique_id" }, values: selection.ids });
  if (selection.kind === "range") {
    bounds.push({ op: "$eq", field: { kind: "record", name: "broker_id" }, value: selection.brokerId });
    if (selection.fromMs !== null) bounds.push({ op: "$gte", field: publishTime, value: selection.fromMs });
    if (selection.toMs !== null) bounds.push({ op: "$lt", field: publishTime, value: selection.toMs });
  }
  return { op: "all", of: bounds };
}
