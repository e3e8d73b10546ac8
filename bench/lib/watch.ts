import type { Source } from "../../shared/core/ports/source.ts";

/** Of one process, from the first receive; at Kafka once the group was joined. */
export interface Usage {
  ms: number;
  cpuS: number;
}

/** Watches what is read of one topic. */
export interface Watch {
  /** Goes between the core and each source. */
  wrap(source: Source): Source;
  /** Resolves once `count` messages are acknowledged, which at Kafka means that their offsets are committed. */
  settled: Promise<Usage>;
  /** What has been used since the first receive. */
  usage(): Usage;
}

interface Start {
  ms: number;
  cpu: NodeJS.CpuUsage;
}

export function watchTopic(topic: string, count: number): Watch {
  const { promise: settled, resolve } = Promise.withResolvers<Usage>();
  let start: Start | undefined;
  let done = 0;
  const usage = (): Usage => {
    if (!start) return { ms: Number.NaN, cpuS: Number.NaN };
    const { user, system } = process.cpuUsage(start.cpu);
    return { ms: performance.now() - start.ms, cpuS: (user + system) / 1e6 };
  };
  return {
    settled,
    usage,
    wrap(source) {
      let own: Start | undefined;
      return {
        ...source,
        async receive(options) {
          if (!own) {
            await source.receive({ ...options, maxMessages: 0 });
            own = { ms: performance.now(), cpu: process.cpuUsage() };
          }
          const deliveries = await source.receive(options);
          if (deliveries[0]?.message.topic === topic) start ??= own;
          return deliveries;
        },
        async acknowledge(deliveries) {
          const acknowledged = await source.acknowledge(deliveries);
          if (deliveries[0]?.message.topic === topic) done += acknowledged;
          if (done === count) resolve(usage());
          return acknowledged;
        },
      };
    },
  };
}
