import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Attributes, Counter, Gauge, Histogram, Meter } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { COUNTERS, GAUGES, type GaugeName, HISTOGRAMS, type HistogramInstrument, type Instrument } from "../../core/instruments.ts";
import type { GaugeReader, GaugeValue, Recorder } from "./metrics.ts";

const METER = "persistor";
const NS_PER_S = 1e9;
const US_PER_S = 1e6;
const DELAY_RESOLUTION_MS = 20;

/** Starts OpenTelemetry with one reader that is scraped through `render`; it opens no port of its own. */
export function openRecorder(): Recorder {
  const reader = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [reader] });
  const meter = provider.getMeter(METER);
  const counters = mapOf<Instrument, Counter>(COUNTERS, (name, { unit, description }) => meter.createCounter(name, { unit, description }));
  const histograms = mapOf<HistogramInstrument, Histogram>(HISTOGRAMS, (name, { unit, description, buckets }) =>
    meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...buckets] } }),
  );
  const gauges = gaugesOf(meter);
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  const readProcess = processReaders();
  return {
    add: (name, value, attributes) => counters.get(name)?.add(value, attributes as Attributes | undefined),
    record: (name, value, attributes) => histograms.get(name)?.record(value, attributes as Attributes | undefined),
    async render(readers) {
      for (const [name, values] of await valuesOf([...readProcess, ...readers])) {
        for (const { value, attributes } of values) gauges.get(name)?.record(value, attributes as Attributes | undefined);
      }
      const { resourceMetrics } = await reader.collect();
      return serializer.serialize(resourceMetrics);
    },
    flush: () => provider.forceFlush(),
    close: () => provider.shutdown(),
  };
}

function mapOf<D, I>(declared: Readonly<Record<string, D>>, make: (name: string, declaration: D) => I): Map<string, I> {
  return new Map(Object.entries(declared).map(([name, declaration]) => [name, make(name, declaration)]));
}

function gaugesOf(meter: Meter): Map<string, Gauge> {
  return mapOf<Instrument, Gauge>(GAUGES, (name, { unit, description }) => meter.createGauge(name, { unit, description }));
}

function valuesOf(readers: readonly (readonly [GaugeName, GaugeReader])[]): Promise<[GaugeName, readonly GaugeValue[]][]> {
  return Promise.all(readers.map(async ([name, read]): Promise<[GaugeName, readonly GaugeValue[]]> => [name, await read()]));
}

/** What the process says of itself. */
function processReaders(): [GaugeName, GaugeReader][] {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  let utilization = performance.eventLoopUtilization();
  const one = (value: number): GaugeValue[] => [{ value }];
  return [
    ["process.cpu.time", cpuTime],
    ["process.memory.usage", () => one(process.memoryUsage.rss())],
    ["process.uptime", () => one(process.uptime())],
    ["v8js.memory.heap.used", () => one(process.memoryUsage().heapUsed)],
    ["nodejs.eventloop.delay.mean", () => one(delay.count === 0 ? 0 : delay.mean / NS_PER_S)],
    ["nodejs.eventloop.delay.p99", () => one(percentileSinceLastLook(delay))],
    [
      "nodejs.eventloop.utilization",
      () => {
        const earlier = utilization;
        utilization = performance.eventLoopUtilization();
        return one(performance.eventLoopUtilization(utilization, earlier).utilization);
      },
    ],
  ];
}

function cpuTime(): GaugeValue[] {
  const { user, system } = process.cpuUsage();
  return [
    { value: user / US_PER_S, attributes: { "cpu.mode": "user" } },
    { value: system / US_PER_S, attributes: { "cpu.mode": "system" } },
  ];
}

function percentileSinceLastLook(delay: ReturnType<typeof monitorEventLoopDelay>): number {
  const seconds = delay.percentile(99) / NS_PER_S;
  delay.reset();
  return seconds;
}
