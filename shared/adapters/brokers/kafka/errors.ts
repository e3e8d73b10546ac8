import { BrokerError, type ErrorCode, errorText } from "../../../core/errors.ts";
import { BadBatch } from "./records/batch.ts";
import { UnknownVersion } from "./wire/connections.ts";
import { protocolCodeOf } from "./wire/protocol-errors.ts";

/** What becomes of an error, and what the operator may do. */
interface Verdict {
  code: ErrorCode;
  retryable: boolean;
  remedy: string;
}

const AWAY: Verdict = {
  code: "broker_unavailable",
  retryable: true,
  remedy: "see that the brokers of PERSISTOR_KAFKA can be reached from here; the call may be repeated",
};
/** So do listeners that ask for what this client does not do. */
const CUT: Verdict = { ...AWAY, remedy: `${AWAY.remedy}; set tls and sasl as the listener asks` };
const MISSING: Verdict = { code: "topic_missing", retryable: false, remedy: "create the topic or correct its name" };
const denied = (remedy: string): Verdict => ({ code: "access_denied", retryable: false, remedy });
const CREDENTIALS = denied("correct sasl in PERSISTOR_KAFKA: mechanism, user name and password, or token");
const TOO_LARGE: Verdict = { code: "too_large", retryable: false, remedy: "raise the topic's max.message.bytes, or send less" };
const UNTRUSTED = denied("give the certificate of the authority that signed the broker's as tls.ca in PERSISTOR_KAFKA");

/** https://kafka.apache.org/protocol#protocol_error_codes; those that are not named here may pass. */
const VERDICTS: Readonly<Record<string, Verdict>> = {
  UNKNOWN_TOPIC_OR_PARTITION: MISSING,
  UNKNOWN_TOPIC_ID: MISSING,
  INVALID_TOPIC_EXCEPTION: { code: "refused", retryable: false, remedy: "correct the topic's name" },
  TOPIC_AUTHORIZATION_FAILED: denied("allow the user to Read and Describe the topic, or to Write it"),
  GROUP_AUTHORIZATION_FAILED: denied("allow the user to Read the consumer group"),
  CLUSTER_AUTHORIZATION_FAILED: denied("allow the user to Write the topic, or IdempotentWrite on the cluster"),
  SASL_AUTHENTICATION_FAILED: CREDENTIALS,
  UNSUPPORTED_SASL_MECHANISM: denied("set sasl.mechanism in PERSISTOR_KAFKA to one that the broker offers"),
  ILLEGAL_SASL_STATE: CREDENTIALS,
  MESSAGE_TOO_LARGE: TOO_LARGE,
  RECORD_LIST_TOO_LARGE: TOO_LARGE,
  INVALID_RECORD: { code: "refused", retryable: false, remedy: "see what the topic asks of its records: a compacted one asks for a key" },
  INVALID_TIMESTAMP: {
    code: "refused",
    retryable: false,
    remedy: "raise the topic's message.timestamp.before.max.ms and after.max.ms, or do not keep the original timestamp",
  },
  UNSUPPORTED_COMPRESSION_TYPE: { code: "refused", retryable: false, remedy: "set another compression in PERSISTOR_KAFKA" },
  NOT_ENOUGH_REPLICAS: {
    ...AWAY,
    remedy: "see that as many replicas are in sync as the topic's min.insync.replicas asks; the call may be repeated",
  },
  INCONSISTENT_GROUP_PROTOCOL: {
    code: "refused",
    retryable: false,
    remedy: "other consumers than Persistor's are in this group: give the pipeline a source.subscription of its own",
  },
  INVALID_SESSION_TIMEOUT: {
    code: "refused",
    retryable: false,
    remedy: "set source.sessionTimeoutMs between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
  },
  POLICY_VIOLATION: { code: "refused", retryable: false, remedy: "ask who runs the cluster for its policy" },
};

const TOO_OLD: Verdict = { code: "unsupported", retryable: false, remedy: "use brokers of Kafka 2.3 or later" };

/** It is asked for again: the damage may be on the way. */
const DAMAGED: Verdict = {
  code: "broker_unavailable",
  retryable: true,
  remedy:
    "if it stays so, the bytes on the broker's disk are damaged: have a replica lead that is not, or commit an offset behind them for the group",
};

/** Codes of Node's TLS for certificates that are not trusted. */
const UNTRUSTED_CODES = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS_|HOSTNAME_MISMATCH/;
/** What a server without TLS, or one with it, makes of the other. */
const PROTOCOL_MIX = /wrong version number|TLS handshake failed|Broker requires TLS|packet length too long|EPROTO/i;

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

function verdictOf(error: unknown): Verdict {
  const code = protocolCodeOf(error);
  if (code !== undefined) return VERDICTS[code] ?? AWAY;
  if (error instanceof UnknownVersion) return TOO_OLD;
  if (error instanceof BadBatch) return DAMAGED;
  for (const { code: name, message } of chainOf(error)) {
    if (UNTRUSTED_CODES.test(name)) return UNTRUSTED;
    if (PROTOCOL_MIX.test(message)) return denied("set or remove tls in PERSISTOR_KAFKA, as the broker's listener asks");
    if (name === "PLT_KFK_AUTHENTICATION") return CREDENTIALS;
    if (message === "Connection closed") return CUT;
  }
  return AWAY;
}

/** The deepest text is the one that tells: the outer ones say that a request failed. */
function causeText(error: unknown): string {
  const code = protocolCodeOf(error);
  const texts = chainOf(error).map(({ message }) => message);
  const deepest = texts.findLast((text) => text !== "") ?? errorText(error);
  return code === undefined ? deepest : `${code} (${deepest.replace(/\.$/, "")})`;
}

function* nestedOf(error: unknown): Generator<unknown> {
  const { cause, errors } = (error ?? {}) as { cause?: unknown; errors?: unknown };
  if (cause !== undefined) yield cause;
  if (Array.isArray(errors)) yield* errors;
}

function chainOf(error: unknown, depth = 0): { code: string; message: string }[] {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const own = { code: String(code ?? ""), message: String(message ?? "") };
  return depth > 8 ? [own] : [own, ...[...nestedOf(error)].flatMap((nested) => chainOf(nested, depth + 1))];
}

/** What every method says once the broker is closed. */
export function closedError(): BrokerError {
  return new BrokerError("broker_unavailable", "using Kafka: the broker is closed; open it again", { retryable: true });
}
