import type { EntityOptions } from "./options.ts";

/* What goes over the control port: shared by the server and by the tests that use it. */

export interface ServerSettings {
  port: number;
  controlPort: number;
  keyName: string;
  key: string;
}

export interface HubOptions {
  partitions: number;
  /** Besides `$Default`. */
  consumerGroups?: readonly string[];
  /** Default 1,048,576. */
  maxMessageBytes?: number;
}

export interface Counts {
  /** That wait to be received. */
  active: number;
  locked: number;
  deferred: number;
  scheduled: number;
  /** In its dead-letter queue. */
  deadLettered: number;
  /** Settled for good, or received and deleted, ever. */
  completed: number;
  /** Taken, ever. */
  enqueued: number;
}

export interface PeekedMessage {
  sequence: number;
  /** The whole message as its sender encoded it. */
  bytes: Buffer;
  state: "active" | "locked" | "deferred" | "scheduled";
  deliveryCount: number;
  enqueuedAt: Date;
  lockedUntil: Date | undefined;
  deadLetterReason: string | undefined;
  sessionId: string | undefined;
  /** Of a message of an event hub. */
  offset?: string;
}

export interface NewQueue {
  name: string;
  options: EntityOptions;
}

export interface NewTopic {
  name: string;
  subscriptions: Readonly<Record<string, EntityOptions>>;
}

export interface NewHub {
  name: string;
  options: HubOptions;
}

export interface LoadRequest {
  entity: string;
  /** As base64. */
  messages: readonly string[];
  /** Of an event hub; default: each in turn. */
  partition?: number;
}

export interface TruncateRequest {
  hub: string;
  partition: number;
  /** Sequence number of the first event that is kept. */
  before: number;
}

export interface DetachRequest {
  condition: string;
  description?: string;
  /** An address, and all below it; default: all. */
  entity?: string;
}

/** Processor time of the server so far. */
export interface Usage {
  userMs: number;
  systemMs: number;
  rssBytes: number;
}
