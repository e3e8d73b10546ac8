/** What the functions were seen to need on a machine of our own. */
export interface Measured {
  /** When, or why not yet. */
  date: string;
  /** Of one pushed message, its share in an object of many included. */
  pushCpuSeconds: number;
  /** Of an object for one message alone. */
  objectCpuSeconds: number;
  /** One vCPU that drains a backlog. */
  pullMessagesPerSecond: number;
  /** Of one index record, in the function `index`. */
  indexCpuSeconds: number;
  /** An object takes the first once, the second for each of its messages. */
  storedBytesPerObject: number;
  storedBytesPerMessage: number;
  /** One record in an index message. */
  indexBytesPerMessage: number;
}

/** What the bill depends on. Times in seconds, sizes in bytes. */
export interface Inputs {
  messagesPerSecond: number;
  payloadBytes: number;
  /** Names and values of a message's attributes. */
  attributeBytes: number;
  /** Each batch is cut into so many objects, by the values in the path mask. */
  pathsPerBatch: number;
  measured: Measured;
  instance: {
    vcpu: number;
    memoryGib: number;
    concurrency: number;
    /** Cloud Run starts another instance where CPU or concurrency pass this share. */
    targetShare: number;
    /** Time is billed in steps of this. */
    billedStepSeconds: number;
  };
  /** Of an answer by a service in the same region; no emulator can show it. */
  latency: { putSeconds: number; publishSeconds: number; indexWriteSeconds: number };
  groupCommit: { maxWaitSeconds: number; maxMessages: number };
  indexCommit: { maxWaitSeconds: number; maxMessageBytes: number };
  pull: {
    /** The schedule. */
    everySeconds: number;
    /** `?seconds=`: a drain ends after it, or behind the first batch that is not full within `batchWaitSeconds`. */
    budgetSeconds: number;
    batchWaitSeconds: number;
    /** Opening the ports, until the first message comes. */
    openSeconds: number;
  };
}

/**
 * By `npm run bench:gcp` on two shared cores of a virtual machine: processor time of `persist` and `index` for each message, what an object of one
 * message takes more than its share of a large one, and the rate of `persist-pull`. Sizes: objects of 1 to 5,000 of the bench's flights.
 */
export const MEASURED: Measured = {
  date: "2026-11-24",
  pushCpuSeconds: 141e-6,
  objectCpuSeconds: 3e-3,
  pullMessagesPerSecond: 18_500,
  indexCpuSeconds: 26e-6,
  storedBytesPerObject: 1_660,
  storedBytesPerMessage: 235,
  indexBytesPerMessage: 697,
};

/** The deployment that is reckoned with. */
export const INPUTS: Inputs = {
  messagesPerSecond: 100,
  payloadBytes: 1_024,
  attributeBytes: 61,
  pathsPerBatch: 1,
  measured: MEASURED,
  // 60 %: https://docs.cloud.google.com/run/docs/configuring/scaling-controls; 100 ms: https://cloud.google.com/run/pricing. The rest is a choice.
  instance: { vcpu: 1, memoryGib: 1, concurrency: 1_000, targetShare: 0.6, billedStepSeconds: 0.1 },
  // Assumed, of the usual order.
  latency: { putSeconds: 0.06, publishSeconds: 0.02, indexWriteSeconds: 0.03 },
  // The defaults of `batch` and the limits of shared/runtime/gcp.
  groupCommit: { maxWaitSeconds: 0.25, maxMessages: 5_000 },
  indexCommit: { maxWaitSeconds: 0.1, maxMessageBytes: 520_192 },
  pull: { everySeconds: 300, budgetSeconds: 240, batchWaitSeconds: 2, openSeconds: 1 },
};
