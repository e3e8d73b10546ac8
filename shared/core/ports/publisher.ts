import type { BrokerError } from "../errors.ts";
import type { MessageContent } from "../message.ts";

/** A message to send. `messageId` is deterministic, so that brokers with duplicate detection drop a repeat. */
export interface OutgoingMessage extends MessageContent {
  messageId?: string;
  /** The partition to go to, at brokers that have them; one that the topic lacks fails the message. Default: as the broker places it. */
  toPartition?: string;
  /** The time to be given to it, in microseconds since 1970 UTC, at brokers that take one. Default: now. */
  withTimeUs?: number;
  /** Messages of one call, or of several in turn, that name the same keep their order, whether they have a key or not. */
  orderedBy?: string;
}

/** `messageId` as the broker tells it; empty where it tells none. */
export type PublishOutcome = { ok: true; messageId: string } | { ok: false; error: BrokerError };

export interface PublishLimits {
  /** Messages in one call. */
  readonly maxMessages: number;
  /** Bytes of one call, by `contentSize`. */
  readonly maxBytes: number;
  /** Bytes of one message, by `contentSize`. */
  readonly maxMessageBytes: number;
}

/** Sends messages to topics of one broker. */
export interface Publisher {
  readonly limits: PublishLimits;
  /**
   * `content` of another kind of broker as this one knows it: what has an equivalent here under another name is put there; what has none is left,
   * for `cannotCarry` to name. Content of this kind of broker stays as it is.
   */
  adapt(content: MessageContent): MessageContent;
  /** Why this broker cannot carry `content` unaltered (a sentence naming the part); undefined where it can. */
  cannotCarry(content: MessageContent): string | undefined;
  /**
   * Publishes in order; when it resolves, every message with `ok` is durable at the broker.
   * One outcome per message, by position. Throws BrokerError only where nothing was sent (`topic_missing`, `broker_unavailable`).
   */
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<PublishOutcome[]>;
  close(): Promise<void>;
}
