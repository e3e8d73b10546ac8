import type { AmqpError } from "rhea";
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
  remedy: "see that the namespace of PERSISTOR_SERVICE_BUS can be reached from here; the call may be repeated",
};
const WITHOUT_TOKEN: Verdict = { ...AWAY, remedy: credentialRemedy("PERSISTOR_SERVICE_BUS") };
const DENIED: Verdict = {
  code: "access_denied",
  retryable: false,
  remedy: "correct the key in PERSISTOR_SERVICE_BUS, or give the identity Azure Service Bus Data Sender or Data Receiver",
};
const REFUSED: Verdict = {
  code: "refused",
  retryable: false,
  remedy:
    "see what the queue or topic asks for: one with sessions takes only messages with an ordering key, and is read with `sessions` set to true",
};
const OF_ONE_ENTITY: Verdict = {
  code: "refused",
  retryable: false,
  remedy: "set PERSISTOR_SERVICE_BUS to a connection string of the namespace, which has no EntityPath",
};

/** https://learn.microsoft.com/javascript/api/@azure/service-bus/servicebuserrorcode; codes that are not named here may pass. */
const VERDICTS: Readonly<Record<string, Verdict>> = {
  MessagingEntityNotFound: {
    code: "topic_missing",
    retryable: false,
    remedy: "create the topic, queue or subscription, or correct its name",
  },
  MessagingEntityDisabled: { ...AWAY, remedy: "enable the queue, topic or subscription" },
  QuotaExceeded: { ...AWAY, remedy: "the queue or topic is full, or has too many connections: read from it, or raise its size" },
  MessageSizeExceeded: { code: "too_large", retryable: false, remedy: "send less, or take a tier that carries more" },
  UnauthorizedAccess: DENIED,
  ServiceBusy: {
    ...AWAY,
    remedy: "the namespace is throttled: it takes more after some seconds; raise its messaging units where that stays",
  },
};

/** Conditions of AMQP that say that no repetition helps. */
const REFUSING = /amqp:not-allowed|amqp:not-implemented|InvalidOperation|NotImplemented|ArgumentError|InvalidField/i;
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

const ANSWERS = new Set(["ServiceBusy", "QuotaExceeded", "MessagingEntityDisabled"]);

/** Whether the broker was out of reach, and did not answer that it would not. */
export function isConnectionError(error: unknown): boolean {
  const cause = error instanceof BrokerError ? error.cause : error;
  return verdictOf(cause).code === AWAY.code && ![cause, ...nestedOf(cause)].some((each) => ANSWERS.has(codeOf(each)));
}

/** Whether no session with messages is free. */
export function isNoneFree(error: unknown): boolean {
  return ["ServiceTimeout", "SessionCannotBeLocked"].includes(codeOf(error));
}

const LOST = /^com\.microsoft:(message-lock-lost|session-lock-lost|message-not-found)$/;

/** Whether this answer to a settlement says that the delivery is not ours any more. */
export function isLostCondition({ condition = "" }: AmqpError): boolean {
  return LOST.test(condition);
}

/** An answer over a link as an Error. */
export function amqpErrorOf({ condition, description = "" }: AmqpError): Error {
  return Object.assign(new Error(`${condition}: ${description}`), { code: condition });
}

/** Whether a delivery is not ours any more. */
export function isLost(error: unknown): boolean {
  return [error, ...nestedOf(error)].some((each) => ["MessageLockLost", "SessionLockLost", "MessageNotFound"].includes(codeOf(each)));
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
    const text = `${name} ${codeOf(each)} ${errorText(each)}`;
    if (/EntityPath/.test(text)) return OF_ONE_ENTITY;
    if (DENYING.test(text)) return DENIED;
    if (REFUSING.test(text)) return REFUSED;
  }
  return AWAY;
}

/** Retries that are used up come as one error of several. */
function nestedOf(error: unknown): unknown[] {
  const { errors } = (error ?? {}) as { errors?: unknown };
  return Array.isArray(errors) ? errors : [];
}

function causeText(error: unknown): string {
  const [last] = nestedOf(error).slice(-1);
  return errorText(last ?? error).replace(/\.$/, "");
}

/** What every method says once the broker is closed. */
export function closedError(): BrokerError {
  return new BrokerError("broker_unavailable", "using Service Bus: the broker is closed; open it again", { retryable: true });
}

/** What is wrong with a broker that takes connections and answers nothing. */
export function noAnswer(): Error {
  return new Error("Service Bus did not answer in time");
}
