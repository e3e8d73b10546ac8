import type { Measure } from "../../lib/child.ts";
import type { Persisted } from "../../lib/persister.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import { type ConsumeOrder, consume } from "./consuming.ts";

/** Reads messages by the client library's own consumer, and does nothing with them. */
export const measure: Measure<ConsumeOrder, Persisted> = async (order) => {
  const before = process.cpuUsage();
  const ms = await consume(order, () => undefined);
  const { user, system } = process.cpuUsage(before);
  return { ms, cpuS: (user + system) / 1e6, peakRssMb: peakRssMb() };
};
