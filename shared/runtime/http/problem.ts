import { type ErrorCode, type InputFault, InvalidInput, PersistorError } from "../../core/errors.ts";

/** A problem document of RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The request's id. */
  instance: string;
  errors?: readonly InputFault[];
  [extension: string]: unknown;
}

export interface HttpErrorOptions {
  headers?: Readonly<Record<string, string>>;
  /** Further members of the problem document; `errors` here takes the place of the list of faults. */
  members?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** An answer other than success that a route gives on purpose; `detail` is shown to the caller. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(status: number, detail: string, options: HttpErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HttpError";
    this.status = status;
    this.headers = options.headers ?? {};
    this.members = options.members ?? {};
  }
}

/** What is not there, or what the caller may not know of: 404. */
export function notFound(detail: string): HttpError {
  return new HttpError(404, detail);
}

/** How an error is answered. */
export interface ProblemAnswer {
  status: number;
  headers: Readonly<Record<string, string>>;
  problem: Problem;
}

export const PROBLEM_TYPE = "application/problem+json";

const RETRY_AFTER_S = "1";

/** The status of each code; what is missing here is the host's own fault: 500. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  invalid_input: 400,
  undecodable: 400,
  key_invalid: 400,
  unsupported: 400,
  topic_missing: 404,
  refused: 409,
  too_large: 413,
  overloaded: 429,
  aborted: 503,
  store_unavailable: 503,
  broker_unavailable: 503,
  index_unavailable: 503,
  job_store_unavailable: 503,
};

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Not authenticated",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  413: "Too large",
  415: "Unsupported media type",
  422: "Unprocessable content",
  429: "Too many requests",
  431: "Request header too large",
  500: "Internal error",
  503: "Unavailable",
};

/** What callers are told of an outage: what it means for them. The cause is for the log. */
const OUTAGES: Partial<Record<ErrorCode, string>> = {
  aborted: "the request was given up before it was done: its time was over, or the host is stopping; repeat it",
  store_unavailable: "the object store cannot be used at the moment; repeat the request later",
  broker_unavailable: "the broker cannot be used at the moment; repeat the request later",
  index_unavailable: "the index cannot be used at the moment; repeat the request later",
  job_store_unavailable: "the job store cannot be used at the moment; repeat the request later",
};

const INTERNAL_DETAIL = "the host failed at this request; its log holds the cause under the request's id";

/** How `error` is answered. Texts of errors that are not the caller's stay inside. */
export function problemOf(error: unknown, requestId: string): ProblemAnswer {
  if (error instanceof HttpError) {
    const problem = problemDocument(error.status, error.message, requestId);
    return { status: error.status, headers: error.headers, problem: { ...problem, ...error.members } };
  }
  if (!(error instanceof PersistorError)) return { status: 500, headers: {}, problem: problemDocument(500, INTERNAL_DETAIL, requestId) };
  const status = STATUS_OF[error.code] ?? 500;
  const problem = problemDocument(status, detailOf(error, status), requestId);
  if (error instanceof InvalidInput && error.faults.length > 0) problem.errors = error.faults;
  return { status, headers: status === 429 || status === 503 ? { "retry-after": RETRY_AFTER_S } : {}, problem };
}

function detailOf(error: PersistorError, status: number): string {
  if (status === 500) return INTERNAL_DETAIL;
  return OUTAGES[error.code] ?? error.message;
}

function problemDocument(status: number, detail: string, instance: string): Problem {
  return { type: "about:blank", title: TITLES[status] ?? "Error", status, detail, instance };
}
