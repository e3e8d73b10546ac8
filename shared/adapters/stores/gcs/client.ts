import type { Storage, StorageOptions } from "@google-cloud/storage";

/** Off: where the SDK repeats a download it lets a rejection go unhandled, which ends the process. The store repeats by itself. */
const NO_RETRIES = { autoRetry: false };

/** What the SDK is opened with. */
export function storageOptions({ projectId, emulatorUrl }: { projectId?: string; emulatorUrl?: string }): StorageOptions {
  return {
    ...(projectId !== undefined && { projectId }),
    ...(emulatorUrl !== undefined && { apiEndpoint: emulatorUrl, useAuthWithCustomEndpoint: false }),
    retryOptions: NO_RETRIES,
  };
}

/** Mends how the SDK makes its requests: where they go, and that object names reach the server as they are. */
export function prepare(storage: Storage): Storage {
  // With STORAGE_EMULATOR_HOST in the environment the SDK leaves out the path.
  storage.baseUrl = `${storage.apiEndpoint}/storage/v1`;
  storage.interceptors.push({ request: moveQuery });
  return storage;
}

interface SdkRequest {
  uri: string;
  qs?: Readonly<Record<string, unknown>>;
}

/** Options of the SDK itself, which it leaves among the parameters. */
const NO_PARAMETERS = new Set(["autoPaginate", "autoPaginateVal"]);

/** Puts the query into the URL, encoded: in plain parameters the SDK would replace `{{projectId}}`, which may stand in a key. */
function moveQuery<R extends SdkRequest>(request: R): R {
  if (!request.qs) return request;
  const { qs, ...rest } = request;
  const parameters = Object.entries(qs).filter(([name, value]) => value !== undefined && !NO_PARAMETERS.has(name));
  const query = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, String(value)]));
  return { ...rest, uri: query.size > 0 ? `${rest.uri}?${query}` : rest.uri } as R;
}
