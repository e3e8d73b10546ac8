import type { IndexRecord } from "../../../shared/core/index-record.ts";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { NO_METER } from "../../../shared/core/ports/meter.ts";
import { systemClock } from "../../../shared/runtime/clock.ts";
import { createPorts, type Ports } from "../../../shared/runtime/ports.ts";
import type { GcpCloud } from "../../../tests/services/gcp-cloud.ts";
import { writeObjects } from "../../lib/build-archive.ts";
import { FLIGHTS } from "../../lib/flights.ts";
import { carried } from "./pubsub.ts";

/** Gives `work` the ports that the functions have, in this process. */
export async function withPorts<T>({ settings }: GcpCloud, work: (ports: Ports) => Promise<T>): Promise<T> {
  const ports = createPorts(settings, { clock: systemClock, log: NO_LOG, meter: NO_METER });
  try {
    return await work(ports);
  } finally {
    await ports.close();
  }
}

/** Stores flights in objects of 5,000 by the core, without the broker, and returns their index records. */
export async function storeFlights(ports: Ports, first: number, count: number): Promise<IndexRecord[]> {
  return writeObjects(await ports.pipeline(FLIGHTS), first, count, carried);
}
