/** How an instrument is described to those who read it. `unit` follows UCUM: `s`, `By`, `{message}`. */
export interface Instrument {
  unit: string;
  description: string;
}

export interface HistogramInstrument extends Instrument {
  /** Upper bounds of the buckets, ascending, in `unit`. */
  buckets: readonly number[];
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const LAG_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400];
const MESSAGES = [1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
const BYTES = [1e3, 1e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 5e7, 1e8];
const SHARE = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1];

/** What only rises. */
export const COUNTERS = {
  "messaging.client.consumed.messages": { unit: "{message}", description: "Deliveries taken from a broker." },
  "messaging.client.sent.messages": { unit: "{message}", description: "Messages published to a broker." },
  "persistor.messages.persisted": { unit: "{message}", description: "Messages whose bytes are committed in a store." },
  "persistor.messages.released": { unit: "{message}", description: "Deliveries given back to the broker, to come again." },
  "persistor.dead_letters": { unit: "{message}", description: "Messages dead-lettered, by category." },
  "persistor.index.inserted": { unit: "{record}", description: "Index records that were new." },
  "persistor.index.existed": { unit: "{record}", description: "Index records that were there already: redeliveries." },
  "persistor.index.conflicts": {
    unit: "{record}",
    description: "Known ids that came with other bytes and were kept under an id of their own.",
  },
  "persistor.job.started": { unit: "{job}", description: "Jobs started, by kind." },
  "persistor.job.finished": { unit: "{job}", description: "Jobs that ended, by kind and state." },
  "persistor.job.published": { unit: "{message}", description: "Messages that resubmission jobs published." },
  "persistor.job.failed": { unit: "{message}", description: "Messages that resubmission jobs could not send, by reason." },
  "persistor.telemetry.dropped": { unit: "{measurement}", description: "Measurements that came faster than they could be taken in." },
} as const satisfies Record<string, Instrument>;

/** What has a distribution. */
export const HISTOGRAMS = {
  "messaging.process.duration": {
    unit: "s",
    description: "Time from taking a batch of deliveries to having settled it.",
    buckets: SECONDS,
  },
  "http.server.request.duration": { unit: "s", description: "Time from a request to its answer, by route and status.", buckets: SECONDS },
  "persistor.invocation.duration": { unit: "s", description: "Time that one run of a function took, by its outcome.", buckets: SECONDS },
  "persistor.batch.messages": { unit: "{message}", description: "Messages in one stored object.", buckets: MESSAGES },
  "persistor.batch.fill": { unit: "1", description: "Messages in one stored object, as a share of what it may hold.", buckets: SHARE },
  "persistor.object.bytes": { unit: "By", description: "Size of one stored object.", buckets: BYTES },
  "persistor.archive.lag": { unit: "s", description: "Age of a message when its bytes are committed in the store.", buckets: LAG_SECONDS },
} as const satisfies Record<string, HistogramInstrument>;

/** What is looked up at the moment it is asked for. */
export const GAUGES = {
  "persistor.subscription.backlog": { unit: "{message}", description: "Messages that a subscription has not settled." },
  "persistor.job.open": { unit: "{job}", description: "Jobs that have not ended." },
  "process.cpu.time": { unit: "s", description: "CPU time of the process since its start, by mode." },
  "process.memory.usage": { unit: "By", description: "Resident memory of the process." },
  "process.uptime": { unit: "s", description: "Time since the process started." },
  "v8js.memory.heap.used": { unit: "By", description: "JavaScript heap in use." },
  "nodejs.eventloop.delay.mean": { unit: "s", description: "Mean delay of the event loop since the last look." },
  "nodejs.eventloop.delay.p99": { unit: "s", description: "Delay of the event loop that 99 of 100 turns stay below, since the last look." },
  "nodejs.eventloop.utilization": { unit: "1", description: "Share of the time in which the event loop was busy, since the last look." },
} as const satisfies Record<string, Instrument>;

export type CounterName = keyof typeof COUNTERS;
export type HistogramName = keyof typeof HISTOGRAMS;
export type GaugeName = keyof typeof GAUGES;
