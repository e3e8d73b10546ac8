/** What the adapter asks of its worker thread. Buffers in it are moved, not copied. */
export interface PublishOp {
  kind: "publish";
  topic: string;
  /** Messages in `frames`. */
  count: number;
  frames: ArrayBuffer;
}

export interface SettleOp {
  kind: "settle";
  subscription: number;
  action: "acknowledge" | "release" | "extend";
  /** Pairs (sequence, attempt), ascending by sequence: each names one hand-over. */
  hands: Float64Array;
  /** Delay of a release, or length of the prolonged lease, in milliseconds; 0 for an acknowledgement. */
  ms: number;
}

/** One durable change. Its result is a number: the first sequence published, or how many hand-overs were ours. */
export type WriteOp = PublishOp | SettleOp;

export interface SubscriptionOptions {
  /** How long a delivery may stay unsettled, in milliseconds. Default 60,000. */
  leaseMs?: number;
  /** After this many deliveries a message goes to `deadLetterTopic`; null: never. Default null. */
  maxDeliveryAttempts?: number | null;
  /** Needed where `maxDeliveryAttempts` is set. Default null. */
  deadLetterTopic?: string | null;
  /** Messages of one ordering key come in order and never while an earlier one is being worked. Default false. */
  ordered?: boolean;
  /** True keeps unsettled messages past the retention time. */
  durable: boolean;
}

export interface SubscriptionRequest {
  topic: string;
  name: string;
  options: SubscriptionOptions;
  /** True leaves an existing subscription's options as they are, but for `durable: true`. */
  onlyCreate: boolean;
  /** Whether the topic, where it is new, keeps settled messages. */
  retained: boolean;
}

export interface OpenedSubscription {
  id: number;
  leaseMs: number;
}

export interface ReceiveRequest {
  subscription: number;
  maxMessages: number;
  maxBytes: number;
  /** Gives the first message even where it is larger than `maxBytes`. */
  atLeastOne: boolean;
}

export interface ReceivedPart {
  count: number;
  /** By `contentSize`. */
  bytes: number;
  frames: ArrayBuffer;
  /** True where the next message would not have fit. */
  full: boolean;
  /** Milliseconds until an unsettled delivery is due again; undefined where nothing is outstanding. */
  nextDueMs: number | undefined;
  /** The topic to which messages were dead-lettered on the way. */
  deadLetteredTo: string | undefined;
}

export interface SubscriptionSummary {
  name: string;
  /** Messages not settled. */
  backlog: number;
  /** Those of them that are being worked now. */
  leased: number;
  /** Absent where the backlog is empty. */
  oldest_unacked_age_ms?: number;
}

export interface TopicSummary {
  name: string;
  /** Messages that the topic keeps, settled or not. */
  messages: number;
  subscriptions: SubscriptionSummary[];
}

/** Given to the worker's script when it starts. */
export interface WorkerData {
  file: string;
  retentionMs: number;
}
