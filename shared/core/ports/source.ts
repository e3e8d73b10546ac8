import type { Message } from "../message.ts";

/** One hand-over of a message; `ackId` settles exactly this hand-over. */
export interface Delivery {
  ackId: string;
  /** 1 for the first delivery. */
  attempt: number;
  message: Message;
}

export interface ReceiveOptions {
  /** 0 gives nothing, and returns once all is done that has to be before a first message. */
  maxMessages: number;
  /** Bytes by `contentSize`; at least one message is given however large it is. */
  maxBytes: number;
  /** How long to gather a fuller batch, from the call on; what is there by then is returned, also nothing. */
  maxWaitMs: number;
  signal?: AbortSignal;
}

/**
 * One subscription of a broker, read by pulling. Not settled deliveries come again when their lease ends.
 * All methods throw BrokerError `broker_unavailable` (retryable) where the broker cannot be reached.
 */
export interface Source {
  receive(options: ReceiveOptions): Promise<Delivery[]>;
  /** Ends the deliveries for good. Returns how many were still ours: a lost lease is no error, the message comes again. */
  acknowledge(deliveries: readonly Delivery[]): Promise<number>;
  /** Gives the deliveries back, to come again after `delayMs`. */
  release(deliveries: readonly Delivery[], delayMs: number): Promise<void>;
  /** Prolongs the leases to `leaseMs` from now. */
  extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void>;
  close(): Promise<void>;
}
