import { contentOf, isNull, string } from "./amqp-bytes.ts";

/** What becomes of a locked message. `changes`: application properties to be set, keys and values in turn. */
export type Outcome =
  | { kind: "complete" }
  /** `isCounted`: as a delivery that came to nothing. */
  | { kind: "abandon"; isCounted: boolean; changes: readonly Buffer[] }
  | { kind: "defer"; changes: readonly Buffer[] }
  | { kind: "dead-letter"; reason: string | undefined; changes: readonly Buffer[] };

const REASON = string("DeadLetterReason");
const DESCRIPTION = string("DeadLetterErrorDescription");
const TOO_MANY = "MaxDeliveryCountExceeded";

/** Dead-letters with application properties, of which a reason or a description that is null is none. */
export function deadLetter(all: readonly Buffer[]): Outcome {
  const changes: Buffer[] = [];
  let reason: string | undefined;
  for (let i = 0; i < all.length; i += 2) {
    const [name, value] = [all[i] as Buffer, all[i + 1] as Buffer];
    if ((name.equals(REASON) || name.equals(DESCRIPTION)) && isNull(value)) continue;
    if (name.equals(REASON)) reason = contentOf(value).toString("utf8");
    changes.push(name, value);
  }
  return { kind: "dead-letter", reason, changes };
}

/** Dead-letters with a reason and a description, where they are given. */
export function deadLetterFor(reason: string | undefined, description: string | undefined, changes: readonly Buffer[] = []): Outcome {
  const given = [...changes];
  if (reason !== undefined) given.push(REASON, string(reason));
  if (description !== undefined) given.push(DESCRIPTION, string(description));
  return { kind: "dead-letter", reason, changes: given };
}

export const tooManyDeliveries = (maxDeliveryCount: number): Outcome =>
  deadLetterFor(TOO_MANY, `Message could not be consumed after ${maxDeliveryCount} delivery attempts.`);
