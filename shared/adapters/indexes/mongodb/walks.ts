import type { FindCursor } from "mongodb";
import { positionOf } from "../../../core/filter/order.ts";
import type { IndexRecord } from "../../../core/index-record.ts";
import type { FindOptions, IndexPosition } from "../../../core/ports/metadata-index.ts";
import { type RecordDocument, recordOf } from "./documents.ts";

type Cursor = FindCursor<RecordDocument>;

/** A walk between two of its pages. */
interface Walk {
  cursor: Cursor;
  /** The page given last: the next may begin within it. */
  page: readonly IndexRecord[];
  timer: NodeJS.Timeout;
}

/**
 * Pages of walks over places, each taken from the cursor that the page before left open: asking anew for each page costs a query and its plan,
 * and on servers that sort, the sorting of all that is left.
 */
export interface Walks {
  /** One page; `open` asks the server for all that matches behind `options.after`. */
  page(collection: string, options: FindOptions, open: () => Cursor): Promise<IndexRecord[]>;
  close(): Promise<void>;
}

const MAX_WALKS = 8;
/** A cursor that nobody asks for any more is given back; servers drop idle ones by themselves only after minutes. */
const IDLE_MS = 5_000;

export function createWalks(): Walks {
  const walks = new Map<string, Walk>();

  const take = (key: string): Walk | undefined => {
    const walk = walks.get(key);
    walks.delete(key);
    clearTimeout(walk?.timer);
    return walk;
  };
  const drop = async (key: string): Promise<void> => {
    await take(key)
      ?.cursor.close()
      .catch(() => undefined);
  };
  const keep = async (key: string, cursor: Cursor, page: readonly IndexRecord[]): Promise<void> => {
    await drop(key);
    const [oldest] = walks.keys();
    if (oldest !== undefined && walks.size >= MAX_WALKS) await drop(oldest);
    walks.set(key, { cursor, page, timer: setTimeout(() => void drop(key), IDLE_MS).unref() });
  };

  return {
    async page(collection, options, open) {
      const key = JSON.stringify([collection, options.filter, options.order]);
      const walk = options.offset ? undefined : take(key);
      const rest = walk && restBehind(walk.page, options.after);
      if (walk && !rest) await walk.cursor.close().catch(() => undefined);
      if (walk && rest) {
        try {
          return await read(walk.cursor, rest);
        } catch {
          // The server may have dropped it: asked anew it says what is wrong, if anything is.
        }
      }
      return read(open(), []);

      async function read(cursor: Cursor, records: IndexRecord[]): Promise<IndexRecord[]> {
        try {
          const isEnd = await fill(records, options.limit, cursor);
          if (isEnd) await cursor.close();
          else await keep(key, cursor, records);
          return records;
        } catch (error) {
          await cursor.close().catch(() => undefined);
          throw error;
        }
      }
    },
    async close() {
      for (const key of [...walks.keys()]) await drop(key);
    },
  };
}

/** What of a page lies behind a position that is one of its records'; undefined where none is. */
function restBehind(page: readonly IndexRecord[], after: IndexPosition | undefined): IndexRecord[] | undefined {
  if (!after) return undefined;
  const wanted = JSON.stringify(after);
  const at = page.findLastIndex(
    (record) => record.unique_id === after.unique_id && JSON.stringify(positionOf(record, after.order)) === wanted,
  );
  return at < 0 ? undefined : page.slice(at + 1);
}

/** Adds records until there are `limit`; returns whether the cursor has ended. */
async function fill(records: IndexRecord[], limit: number, cursor: Cursor): Promise<boolean> {
  while (records.length < limit) {
    if (!(await cursor.hasNext())) return true;
    for (const document of cursor.readBufferedDocuments(limit - records.length)) records.push(recordOf(document));
  }
  return false;
}
