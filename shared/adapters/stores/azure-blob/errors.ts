import { errorText, StoreError } from "../../../core/errors.ts";
import { credentialRemedy, isOfCredential } from "../../support/azure-credential.ts";
import { CODE_REMEDIES, NETWORK_REMEDIES, STATUS_REMEDIES } from "./remedies.ts";

/** What failed: an answer (`status`), or no answer. */
export interface Failure {
  status: number | undefined;
  /** Blob Storage's own, such as `BlobNotFound`, or the system's, such as `ECONNRESET`; empty where there is none. */
  code: string;
  message: string;
}

const TRANSIENT_STATUS = new Set([408, 429]);
/** The hashes differ where bytes were altered on the way. */
const TRANSIENT_CODES = new Set(["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "EAI_AGAIN", "Md5Mismatch"]);
/** Only a blob that exists has what these speak of: a hash, a policy or a lease, or somebody who may not overwrite it. */
const EXISTS_CODES = new Set([
  "BlobAlreadyExists",
  "ConditionNotMet",
  "BlobImmutableDueToPolicy",
  "LeaseIdMissing",
  "UnauthorizedBlobOverwrite",
]);

/** Reads an error of the SDK, of a credential or of this store. */
export function failureOf(error: unknown): Failure {
  const { statusCode, code, name, details } = (error ?? {}) as {
    statusCode?: unknown;
    code?: unknown;
    name?: unknown;
    details?: { errorCode?: unknown };
  };
  const own = [details?.errorCode, code, isOfCredential(name) ? name : undefined].find((each) => typeof each === "string");
  const status = typeof statusCode === "number" && !isOfCredential(name) ? statusCode : undefined;
  return { status, code: (own ?? "") as string, message: redact(errorText(error)) };
}

/** Whether the same request may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  const { status, code } = failureOf(error);
  if (TRANSIENT_CODES.has(code)) return true;
  return status !== undefined && (status >= 500 || TRANSIENT_STATUS.has(status));
}

/** Whether a write failed because the blob exists. */
export function tellsThatItExists(error: unknown): boolean {
  return EXISTS_CODES.has(failureOf(error).code);
}

/** An error with a code of the system. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** An answer that Blob Storage does not give: another server lies behind the URL, or something between answers for it. */
export function foreignAnswer(what: string): Error {
  return new Error(foreign(what));
}

function foreign(what: string): string {
  return `what answered is none of Azure Blob Storage: ${what}; correct the account's URL or look at the network's proxy`;
}

/**
 * A failure as StoreError: `too_large`, else `store_unavailable`, which is retryable also where a setting, a grant or the container is wrong:
 * those can be mended, and no message may be given up for them.
 */
export function storeErrorOf(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const failure = failureOf(error);
  const cause = causeOf(failure);
  if (failure.status === 413) {
    return new StoreError("too_large", `${doing}: the object is too large for the server; use smaller batches or messages`, { cause });
  }
  return new StoreError("store_unavailable", `${doing}: ${remedyOf(failure)}`, { retryable: true, cause });
}

function remedyOf({ status, code, message }: Failure): string {
  if (isOfCredential(code)) return `${credentialRemedy("PERSISTOR_AZURE_STORAGE")} (${message})`;
  const remedy = CODE_REMEDIES[code] ?? (status === undefined ? NETWORK_REMEDIES[code] : remedyOfStatus(status));
  if (remedy === undefined) return message || code;
  return status !== undefined && message ? `${remedy} (${message})` : remedy;
}

function remedyOfStatus(status: number): string {
  if (status < 400) return foreign(`it answered ${status}`);
  return STATUS_REMEDIES[status] ?? `the server answered ${status}; ${status >= 500 ? "the call may be repeated" : "look at its reason"}`;
}

/** The error itself holds the request, with its signature or token: only what tells the reason is passed on. */
function causeOf({ status, code, message }: Failure): Error {
  return Object.assign(new Error(message || code || String(status)), { code, status });
}

const MAX_MESSAGE = 500;

/** Without secrets, pages of HTML, and what tells requests apart: the same failure has the same text. */
function redact(message: string): string {
  if (/^\s*<(!doctype|html)/i.test(message)) return "";
  return message
    .replace(/\b(Bearer|SharedKey)\s+\S+/gi, "$1 …")
    .replace(/\b(sig|AccountKey|SharedAccessSignature)=[^&;\s]+/gi, "$1=…")
    .replace(/\s*\b(RequestId|Time):\S+/g, "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, MAX_MESSAGE);
}
