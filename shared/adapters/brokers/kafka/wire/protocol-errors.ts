import { ProtocolError } from "@platformatic/kafka";

/** The name of the protocol error that an error of the client is or holds, such as `NOT_COORDINATOR`; undefined where it is none. */
export function protocolCodeOf(error: unknown): string | undefined {
  const { apiId, errors, cause } = (error ?? {}) as { apiId?: unknown; errors?: unknown; cause?: unknown };
  if (typeof apiId === "string") return apiId;
  for (const nested of Array.isArray(errors) ? errors : []) {
    const code = protocolCodeOf(nested);
    if (code !== undefined) return code;
  }
  return cause === undefined || cause === error ? undefined : protocolCodeOf(cause);
}

/** The answer that an error of the client refused as a whole, since a part of it is an error. */
export function answerOf<R>(error: unknown): R | undefined {
  return (error as { response?: R } | null)?.response;
}

/** An error code in an answer as the client's own error. */
export function protocolErrorOf(code: number, text = ""): ProtocolError & { apiId: string } {
  return new ProtocolError(code, text || null) as ProtocolError & { apiId: string };
}
