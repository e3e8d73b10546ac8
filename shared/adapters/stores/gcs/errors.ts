import { errorText, StoreError } from "../../../core/errors.ts";

/** An answer of the server that tells of a failure. */
export class FailedAnswer extends Error {
  readonly status: number;
  /** Such as `NoSuchKey`; empty where the server gave none. */
  readonly reason: string;

  constructor(status: number, body: string) {
    super(tagOf(body, "Details") || tagOf(body, "Message"));
    this.status = status;
    this.reason = tagOf(body, "Code");
  }
}

/** What failed: an answer (`status`), or no answer (`code` of the system, such as `ECONNRESET`). */
export interface Failure {
  status: number | undefined;
  reason: string;
  code: string;
  message: string;
}

const TRANSIENT_STATUS = new Set([408, 429]);
const TRANSIENT_CODES = new Set(["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "EAI_AGAIN"]);

const REMEDIES: Readonly<Record<number, string>> = {
  401: "the credentials are not accepted; correct those of the process",
  403: "access denied; grant the process's identity roles/storage.objectUser on the bucket",
  404: "the bucket is missing, or the server is none of Cloud Storage; create the bucket or correct store.bucket or the URL of the server",
  408: "the server waited too long for the request; the call may be repeated",
  429: "too many requests; the call may be repeated",
};

const NETWORK_REMEDIES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens at the server's address; start the server or correct its URL",
  ENOTFOUND: "the server's name is unknown; correct its URL or look at the network's name service",
  EAI_AGAIN: "the name service does not answer; look at the network",
  ECONNRESET: "the connection was cut; the call may be repeated",
  EPIPE: "the connection was cut; the call may be repeated",
  ERR_STREAM_PREMATURE_CLOSE: "the connection was cut; the call may be repeated",
  ETIMEDOUT: "the server does not answer in time; look at the network, the call may be repeated",
};

/** Reads an error of the SDK, of its transport or of this store. */
export function failureOf(error: unknown): Failure {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: readonly { reason?: string; message?: string }[] };
  // The SDK's own text for a failed answer holds its whole body, be that a page of HTML.
  const message = redact(errors ? (errors[0]?.message ?? "") : errorText(error));
  if (error instanceof FailedAnswer) return { status: error.status, reason: error.reason, code: "", message };
  const status = typeof code === "number" ? code : undefined;
  return { status, reason: errors?.[0]?.reason ?? "", code: typeof code === "string" ? code : "", message };
}

/** Whether the same request may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  const { status, code } = failureOf(error);
  if (status !== undefined) return status >= 500 || TRANSIENT_STATUS.has(status);
  return TRANSIENT_CODES.has(code);
}

/** An answer that Cloud Storage does not give: another server lies behind the URL, or something between answers for it. */
export function foreignAnswer(what: string): Error {
  return new Error(`what answered is none of Cloud Storage: ${what}; correct the URL of the server or look at the network's proxy`);
}

/**
 * A failure as StoreError: `too_large`, else `store_unavailable`, which is retryable also where a setting, a grant or the bucket is wrong:
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
  if (status === undefined) {
    if (/credentials/i.test(message))
      return `no credentials; give the process an identity or set GOOGLE_APPLICATION_CREDENTIALS (${message})`;
    return NETWORK_REMEDIES[code] ?? (message || code);
  }
  const remedy = REMEDIES[status] ?? `the server answered ${status}; ${status >= 500 ? "the call may be repeated" : "look at its reason"}`;
  return message ? `${remedy} (${message})` : remedy;
}

/** The error itself holds the request, with the token in its headers: only what tells the reason is passed on. */
function causeOf({ status, reason, code, message }: Failure): Error {
  return Object.assign(new Error(message || reason || code || String(status)), { code: status ?? code, reason });
}

const MAX_MESSAGE = 500;

function redact(message: string): string {
  return message
    .replace(/\b(Bearer|Basic)\s+\S+/gi, "$1 …")
    .replace(/\bya29\.[\w.-]+/g, "…")
    .replace(/\/\/[^/\s@]*@/g, "//")
    .slice(0, MAX_MESSAGE);
}

function tagOf(body: string, tag: string): string {
  return new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(body)?.[1] ?? "";
}
