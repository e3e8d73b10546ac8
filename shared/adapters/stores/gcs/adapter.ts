import { Storage } from "@google-cloud/storage";
import type { ObjectStore } from "../../../core/ports/object-store.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { prepare, storageOptions } from "./client.ts";
import { gcsProcessSettings, gcsStoreSettings } from "./settings.ts";
import { gcsStore } from "./store.ts";

const gcsSettings = gcsStoreSettings.extend(gcsProcessSettings.shape);

/**
 * Opens a store on a bucket of Cloud Storage, without any request: what is wrong with bucket or credentials shows at the first use.
 * `idleTimeoutMs`: how long a request may move no byte, default 20,000. Throws PersistorError `settings_invalid`.
 */
export async function open(
  settings: Readonly<Record<string, unknown>>,
  _context?: unknown,
  { idleTimeoutMs }: { idleTimeoutMs?: number } = {},
): Promise<ObjectStore> {
  const { bucket, ...process } = parseSettings(gcsSettings, settings, "opening a store of kind gcs");
  return gcsStore(prepare(new Storage(storageOptions(process))), bucket, idleTimeoutMs);
}
