import type { CounterName, GaugeName, HistogramName } from "../../core/instruments.ts";
import type { Meter, MeterAttributes } from "../../core/ports/meter.ts";

/** One value of a gauge; gauges with several (by topic, say) give one for each set of attributes. */
export interface GaugeValue {
  value: number;
  attributes?: MeterAttributes;
}

export type GaugeReader = () => readonly GaugeValue[] | Promise<readonly GaugeValue[]>;

/** The process's metrics: what is counted and measured, and its text for Prometheus. */
export interface Metrics extends Meter {
  /** Looks a value up each time it is asked for. One reader for each name; the last one given is used. */
  gauge(name: GaugeName, read: GaugeReader): void;
  /** All metrics as Prometheus text. */
  render(): Promise<string>;
  /** Hands over what a pushing exporter has not sent yet; nothing waits where metrics are scraped. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What takes the measurements once OpenTelemetry is loaded. */
export interface Recorder {
  add(name: CounterName, value: number, attributes: MeterAttributes | undefined): void;
  record(name: HistogramName, value: number, attributes: MeterAttributes | undefined): void;
  render(gauges: ReadonlyMap<GaugeName, GaugeReader>): Promise<string>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

type Waiting = (recorder: Recorder) => void;

/** Measurements kept while OpenTelemetry is not loaded; what comes past them is dropped and counted. */
const MAX_WAITING = 10_000;
/** Loading takes some fifty milliseconds of the event loop, which a start has better use for. */
const LOAD_DELAY_MS = 1000;

/** Metrics by OpenTelemetry, which is loaded a second after the first measurement, or at the first scrape. */
export function createMetrics(): Metrics {
  const gauges = new Map<GaugeName, GaugeReader>();
  const waiting: Waiting[] = [];
  let dropped = 0;
  let recorder: Recorder | undefined;
  let loading: Promise<Recorder> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const load = () => {
    clearTimeout(timer);
    loading ??= loadRecorder().then(taken, (error) => {
      loading = undefined;
      timer = undefined;
      throw error;
    });
    return loading;
  };
  const taken = (loaded: Recorder) => {
    for (const measurement of waiting.splice(0)) measurement(loaded);
    if (dropped > 0) loaded.add("persistor.telemetry.dropped", dropped, undefined);
    recorder = loaded;
    return loaded;
  };
  const wait = (measurement: Waiting) => {
    if (waiting.length < MAX_WAITING) waiting.push(measurement);
    else dropped++;
    // Where loading fails, the next measurement tries again, and a scrape shows why.
    timer ??= setTimeout(() => load().catch(() => undefined), LOAD_DELAY_MS).unref();
  };

  return {
    add(name, value, attributes) {
      if (recorder) recorder.add(name, value, attributes);
      else wait((loaded) => loaded.add(name, value, attributes));
    },
    record(name, value, attributes) {
      if (recorder) recorder.record(name, value, attributes);
      else wait((loaded) => loaded.record(name, value, attributes));
    },
    gauge: (name, read) => void gauges.set(name, read),
    render: async () => (await load()).render(gauges),
    flush: async () => recorder?.flush(),
    async close() {
      clearTimeout(timer);
      await (await loading)?.close();
    },
  };
}

async function loadRecorder(): Promise<Recorder> {
  const { openRecorder } = await import("./opentelemetry.ts");
  return openRecorder();
}
