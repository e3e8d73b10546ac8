import { grpc } from "google-gax";
import { BrokerError, errorText } from "../../../core/errors.ts";

const { status } = grpc;

/** What the remedies of a failed call name. */
export interface Doing {
  /** Gerund and object: "publishing to projects/p/topics/t". */
  what: string;
  /** The role that permits it. */
  role: "roles/pubsub.publisher" | "roles/pubsub.subscriber";
}

/** The gRPC status code of an error; undefined where it has none. */
export function statusOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "number" ? code : undefined;
}

const TRANSIENT: ReadonlySet<number | undefined> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
]);

/** Whether the same call may succeed in a moment. */
export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(statusOf(error));
}

/** Whether Pub/Sub refuses what the request holds. */
export function isInvalidArgument(error: unknown): boolean {
  return statusOf(error) === status.INVALID_ARGUMENT;
}

/** Whether the topic or subscription, or its project, does not exist. */
export function isNotFound(error: unknown): boolean {
  return statusOf(error) === status.NOT_FOUND;
}

/** Whether the caller may not do this: nothing was done. */
export function isDenied(error: unknown): boolean {
  const code = statusOf(error);
  return code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED;
}

/** A failed call as BrokerError; our own errors as they are. */
export function brokerErrorOf(error: unknown, { what, role }: Doing): BrokerError {
  if (error instanceof BrokerError) return error;
  const text = `${what}: ${detailsOf(error)}`;
  if (isInvalidArgument(error)) return new BrokerError("refused", `${text}; correct what the message or the name says`, { cause: error });
  if (isNotFound(error) && role === "roles/pubsub.publisher") {
    return new BrokerError("topic_missing", `${text}; create the topic or correct its name and project`, { cause: error });
  }
  const remedy = isNotFound(error) ? "create the subscription or correct its name and project" : unavailableRemedy(error, role);
  return new BrokerError("broker_unavailable", `${text}; ${remedy}`, { retryable: true, cause: error });
}

function unavailableRemedy(error: unknown, role: Doing["role"]): string {
  if (isDenied(error)) return `grant ${role} to the account that the credentials name, or give credentials of one that has it`;
  if (statusOf(error) === status.RESOURCE_EXHAUSTED) return "raise the project's Pub/Sub quota or slow down; the call may be repeated";
  if (statusOf(error) === undefined) return "give application default credentials and a project id; the call may be repeated";
  return "the call may be repeated; see that Pub/Sub can be reached from here";
}

function detailsOf(error: unknown): string {
  const details = (error as { details?: unknown } | null)?.details;
  return typeof details === "string" && details !== "" ? details : errorText(error);
}

/** What every method says once the broker is closed. */
export function closedError(): BrokerError {
  return new BrokerError("broker_unavailable", "using Pub/Sub: the broker is closed; open it again", { retryable: true });
}
