import type { AnyBulkWriteOperation, Collection, Filter, UpdateFilter } from "mongodb";
import { DUPLICATE_KEY, repeatedOnce, serverCode } from "./errors.ts";

interface Named {
  _id: string;
}

/** Stores a document unless its `_id` is there; returns what is stored then. */
export async function storeUnlessThere<T extends Named>(collection: Collection<T>, document: T): Promise<T> {
  const { _id, ...fields } = document;
  const update = { $setOnInsert: fields } as unknown as UpdateFilter<T>;
  const stored = await againIfRaced(() =>
    collection.findOneAndUpdate({ _id } as Filter<T>, update, { upsert: true, returnDocument: "after" }),
  );
  if (!stored) throw new Error("the server stored a document and returned none");
  return stored as T;
}

/** Stores those documents whose `_id` is not there. */
export async function storeMissing<T extends Named>(collection: Collection<T>, documents: readonly T[]): Promise<void> {
  const writes = documents.map(({ _id, ...fields }) => ({
    updateOne: { filter: { _id }, update: { $setOnInsert: fields }, upsert: true },
  })) as unknown as AnyBulkWriteOperation<T>[];
  await againIfRaced(() => collection.bulkWrite(writes, { ordered: false }));
}

/** Of two that insert the same at once, one may be told that it is there; asked again, it finds it. */
function againIfRaced<T>(work: () => Promise<T>): Promise<T> {
  return repeatedOnce(async () => {
    try {
      return await work();
    } catch (error) {
      if (serverCode(error) !== DUPLICATE_KEY) throw error;
      return work();
    }
  });
}
