import { join, resolve } from "node:path";
import { Unsupported } from "../../../core/errors.ts";
import type { ObjectEntry, ObjectStore, PutOptions } from "../../../core/ports/object-store.ts";
import type { AdapterContext } from "../../registry.ts";
import { checkRange } from "../../support/byte-range.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { durableFolders, makeRoot } from "./durable-folders.ts";
import { storeErrorOf } from "./errors.ts";
import { checkKey } from "./keys.ts";
import { listObjects } from "./listing.ts";
import { readObject } from "./reading.ts";
import { fsStoreSettings } from "./settings.ts";
import { prepareTemporaryFolder, writeObject } from "./writing.ts";

const DEFAULT_FOLDER = "objects";

/** Opens a store on files: one file per object, its path the key. Throws StoreError, or PersistorError `settings_invalid`. */
export async function open(settings: Readonly<Record<string, unknown>>, context: AdapterContext): Promise<ObjectStore> {
  const root = rootOf(settings, context);
  const folders = durableFolders(root);
  await mapping(`opening the store in ${root}`, async () => {
    await makeRoot(root);
    await prepareTemporaryFolder(root);
  });
  return {
    limits: { metadataBytes: 0 },
    async put(key, bytes, options) {
      checkKey(key);
      checkMetadata(key, options);
      return mapping(`writing object ${key}`, () => writeObject(root, folders, join(root, key), bytes));
    },
    async get(key, range) {
      checkKey(key);
      checkRange(key, range);
      return { bytes: await mapping(`reading object ${key}`, () => readObject(join(root, key), key, range)), metadata: {} };
    },
    list: (prefix, after = "") => mappingList(prefix, listObjects(root, prefix, after)),
    async close() {},
  };
}

function rootOf(settings: Readonly<Record<string, unknown>>, { dataDir }: AdapterContext): string {
  const { dir } = parseSettings(fsStoreSettings, settings, "opening a store of kind fs");
  return resolve(dir ?? join(dataDir, DEFAULT_FOLDER));
}

function checkMetadata(key: string, { metadata }: PutOptions): void {
  if (metadata && Object.keys(metadata).length > 0) {
    throw new Unsupported(`writing object ${key} with metadata: files hold none; store it as an object of its own`);
  }
}

async function mapping<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeErrorOf(error, doing);
  }
}

async function* mappingList(prefix: string, entries: AsyncGenerator<ObjectEntry>): AsyncGenerator<ObjectEntry> {
  try {
    yield* entries;
  } catch (error) {
    throw storeErrorOf(error, `listing objects under ${JSON.stringify(prefix)}`);
  }
}
