import { BrokerError, type ErrorCode, errorText } from "../../../core/errors.ts";
import { credentialRemedy, isOfCredential } from "../../support/azure-credential.ts";

interface Verdict {
  code: ErrorCode;
  retryable: boolean;
  remedy: string;
}

const AWAY: Verdict = {
  code: "broker_unavailable",
  retryable: true,
  remedy: "see that the namespace of PERSISTOR_EVENT_HUBS can be reached from here; the call may be repeated",
};
const WITHOUT_TOKEN: Verdict = { ...AWAY, remedy: credentialRemedy("PERSISTOR_EVENT_HUBS") };
const DENIED: Verdict = {
  code: "access_denied",
  retryable: false,
  remedy: "correct the key in PERSISTOR_EVENT_HUBS, or give the identity Azure Event Hubs Data Sender or Data Receiver",
};
const MISSING: Verdict = {
  code: "topic_missing",
  retryable: false,
  remedy: "create the event hub or the consumer group in the namespace of PERSISTOR_EVENT_HUBS, or correct its name",
};
const REFUSED: Verdict = { code: "refused", retryable: false, remedy: "see what Event Hubs says of the message" };

/** Codes of the SDK's MessagingError; those that are not named here may pass. */
const VERDICTS: Readonly<Record<string, Verdict>> = {
  MessagingEntityNotFoundError: MISSING,
  ArgumentOutOfRangeError: { ...MISSING, remedy: "the event hub has no such partition; correct its number" },
  MessagingEntityDisabledError: { ...AWAY, remedy: "enable the event hub" },
  QuotaExceededError: { ...AWAY, remedy: "the namespace has too many connections or receivers: close some, or raise its capacity" },
  ServerBusyError: {
    ...AWAY,
    remedy: "the namespace is throttled: it takes more after some seconds; raise its throughput units where that stays",
  },
  MessageTooLargeError: { code: "too_large", retryable: false, remedy: "send less, or take a tier that carries more" },
  UnauthorizedError: DENIED,
  PublisherRevokedError: DENIED,
  ArgumentError: REFUSED,
  InvalidOperationError: REFUSED,
  InvalidFieldError: REFUSED,
  NotImplementedError: REFUSED,
  DecodeError: REFUSED,
};

/** What a wrong connection string looks like. */
const DENYING = /InvalidSignature|Unauthorized/i;

/** A failed call as BrokerError; our own errors as they are. `doing`: gerund and object. */
export function brokerErrorOf(error: unknown, doing: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code, retryable, remedy } = verdictOf(error);
  return new BrokerError(code, `${doing}: ${causeText(error)}; ${remedy}`, { retryable, cause: error });
}

/** Whether no waiting helps: somebody has to change something. */
export function isHopeless(error: unknown): boolean {
  return !(error instanceof BrokerError ? error : verdictOf(error)).retryable;
}

/** Whether another consumer of the group has taken the partition: that is no failure. */
export function isTaken(error: unknown): boolean {
  return [error, ...nestedOf(error)].some((each) => codeOf(each) === "ReceiverDisconnectedError");
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}

function verdictOf(error: unknown): Verdict {
  for (const each of [error, ...nestedOf(error)]) {
    const found = VERDICTS[codeOf(each)];
    if (found) return found;
    const { name } = (each ?? {}) as { name?: unknown };
    if (isOfCredential(name)) return WITHOUT_TOKEN;
    if (DENYING.test(`${name} ${codeOf(each)} ${errorText(each)}`)) return DENIED;
  }
  return AWAY;
}

/** Retries that are used up come as one error of several. */
function nestedOf(error: unknown): unknown[] {
  const { errors } = (error ?? {}) as { errors?: unknown };
  return Array.isArray(errors) ? errors.flatMap((each) => [each, ...nestedOf(each)]) : [];
}

function causeText(error: unknown): string {
  const texts = [error, ...nestedOf(error)].map((each) => errorText(each));
  return (texts.findLast((text) => text !== "") ?? "no answer").replace(/\.$/, "").slice(0, MAX_TEXT);
}

const MAX_TEXT = 500;

/** What every method says once the broker is closed. */
export function closedError(): BrokerError {
  return new BrokerError("broker_unavailable", "using Event Hubs: the broker is closed; open it again", { retryable: true });
}
