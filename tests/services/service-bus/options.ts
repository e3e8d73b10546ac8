/** How a queue or a subscription behaves. */
export interface EntityOptions {
  /** How long a message, or a session, is locked. Default 60,000. */
  lockMs?: number;
  /** Deliveries after which a message is dead-lettered. Default 10. */
  maxDeliveryCount?: number;
  requiresSession?: boolean;
  /** Default 262,144. */
  maxMessageBytes?: number;
  /** For how long a message id that comes again is dropped. Default: such messages are kept. */
  duplicateDetectionMs?: number;
  /** The longest that a message lives. Default: as long as its own header says, else for ever. */
  defaultTtlMs?: number;
  /** How many messages it may hold, with its dead-letter queue. Default: any number. */
  maxMessages?: number;
}

export type Options = Required<EntityOptions>;

export const withDefaults = (options: EntityOptions = {}): Options => ({
  lockMs: options.lockMs ?? 60_000,
  maxDeliveryCount: options.maxDeliveryCount ?? 10,
  requiresSession: options.requiresSession ?? false,
  maxMessageBytes: options.maxMessageBytes ?? 262_144,
  duplicateDetectionMs: options.duplicateDetectionMs ?? 0,
  defaultTtlMs: options.defaultTtlMs ?? Infinity,
  maxMessages: options.maxMessages ?? Infinity,
});
