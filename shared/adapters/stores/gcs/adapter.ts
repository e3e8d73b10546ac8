import { Storage } from "@google-cloud/storage";
import { PersistorError } from "../../../core/errors.ts";
import type { ObjectStore } from "../../../core/ports/object-store.ts";
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
  const parsed = gcsSettings.safeParse(settings);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new PersistorError("settings_invalid", `opening a store of kind gcs: ${faults.join("; ")}`);
  }
  const { bucket, ...process } = parsed.data;
  return gcsStore(prepare(new Storage(storageOptions(process))), bucket, idleTimeoutMs);
}
