import { BlobServiceClient, type ContainerClient, type StoragePipelineOptions, StorageRetryPolicyType } from "@azure/storage-blob";
import { BrokerError, errorText, PersistorError } from "../../../../core/errors.ts";
import { azureCredential, credentialRemedy, isOfCredential } from "../../../support/azure-credential.ts";
import type { EventHubsSettings } from "../settings.ts";

const OPTIONS: StoragePipelineOptions = {
  retryOptions: {
    retryPolicyType: StorageRetryPolicyType.EXPONENTIAL,
    maxTries: 3,
    tryTimeoutInMs: 8_000,
    retryDelayInMs: 200,
    maxRetryDelayInMs: 1_000,
  },
};

/** The container of the checkpoints; no request is made. Throws PersistorError `settings_invalid` where no storage account is named. */
export async function containerOf(storage: EventHubsSettings["storage"], name: string): Promise<ContainerClient> {
  const { connectionString, blobServiceUri, ...identity } = storage ?? {};
  if (connectionString !== undefined) return accountOf(connectionString).getContainerClient(name);
  if (blobServiceUri !== undefined) {
    return new BlobServiceClient(blobServiceUri, await azureCredential(identity), OPTIONS).getContainerClient(name);
  }
  const text = "opening a source of Event Hubs: no storage account for its checkpoints";
  throw new PersistorError("settings_invalid", `${text}; set PERSISTOR_AZURE_STORAGE or PERSISTOR_AZURE_STORAGE__blobServiceUri`);
}

/** The SDK's own error may hold parts of the connection string. */
function accountOf(connectionString: string): BlobServiceClient {
  try {
    return BlobServiceClient.fromConnectionString(connectionString, OPTIONS);
  } catch {
    throw new PersistorError(
      "settings_invalid",
      "opening a source of Event Hubs: PERSISTOR_AZURE_STORAGE is no connection string; correct it",
    );
  }
}

const DENYING =
  /AuthenticationFailed|Authorization(Failure|PermissionMismatch|SourceIPMismatch)|InsufficientAccountPermissions|KeyBasedAuthenticationNotPermitted|InvalidAuthenticationInfo|not authorized/i;
const DENIED_REMEDY = "correct PERSISTOR_AZURE_STORAGE, or give the identity Storage Blob Data Contributor on the container";
const TOKEN_REMEDY = credentialRemedy("PERSISTOR_AZURE_STORAGE");
const AWAY_REMEDY = "see that the storage account of PERSISTOR_AZURE_STORAGE can be reached from here; the call may be repeated";
const MAX_TEXT = 300;

/** A failed call to the storage of the checkpoints as BrokerError; our own errors as they are. `doing`: gerund and object. */
export function storageErrorOf(error: unknown, doing: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const { name, code, statusCode } = (error ?? {}) as { name?: unknown; code?: unknown; statusCode?: unknown };
  // What the SDK tells behind is the whole request.
  const text = errorText(error).split(/\s*\n\s*[{[]|\s*\n?RequestId:/, 1)[0] as string;
  const hasNoToken = isOfCredential(name);
  const isDenied = !hasNoToken && (statusCode === 401 || statusCode === 403 || DENYING.test(`${code} ${errorText(error)}`));
  const remedy = isDenied ? DENIED_REMEDY : hasNoToken ? TOKEN_REMEDY : AWAY_REMEDY;
  const shown = `${doing}: ${text.replace(/\s+/g, " ").slice(0, MAX_TEXT)}; ${remedy}`;
  // Without the request, which carries a signature or a token.
  const cause = Object.assign(new Error(text), { code, statusCode });
  return new BrokerError(isDenied ? "access_denied" : "broker_unavailable", shown, { retryable: !isDenied, cause });
}
