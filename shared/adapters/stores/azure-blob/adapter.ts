import type { ObjectStore } from "../../../core/ports/object-store.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { openContainer } from "./client.ts";
import { azureBlobProcessSettings, azureBlobStoreSettings } from "./settings.ts";
import { azureBlobStore } from "./store.ts";

const azureBlobSettings = azureBlobStoreSettings.extend(azureBlobProcessSettings.shape);

/**
 * Opens a store on a container of Azure Blob Storage, without any request: what is wrong with container or credentials shows at the first use.
 * `idleTimeoutMs`: how long a request may move no byte, default 20,000. Throws PersistorError `settings_invalid`.
 */
export async function open(
  settings: Readonly<Record<string, unknown>>,
  _context?: unknown,
  { idleTimeoutMs }: { idleTimeoutMs?: number } = {},
): Promise<ObjectStore> {
  const { container, ...process } = parseSettings(azureBlobSettings, settings, "opening a store of kind azure-blob");
  return azureBlobStore(await openContainer(container, process), idleTimeoutMs);
}
