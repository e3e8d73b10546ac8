import type { Collection, Document, IndexDescription } from "mongodb";
import { serverCode } from "./errors.ts";

/** Codes of two processes that make the same at once. */
const COLLISIONS: readonly (number | undefined)[] = [48, 68, 117, 11000];

/** Makes indexes, and the collection with them, unless they are there; any number of processes may do so at once. Throws the driver's own errors. */
export async function makeIndexes<T extends Document>(collection: Collection<T>, indexes: IndexDescription[]): Promise<void> {
  try {
    await collection.createIndexes(indexes);
  } catch (error) {
    if (!COLLISIONS.includes(serverCode(error))) throw error;
    await collection.createIndexes(indexes);
  }
}
