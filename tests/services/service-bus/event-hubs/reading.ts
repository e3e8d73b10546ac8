import type { Sender, Typed } from "rhea";
import type { Opened } from "../directory.ts";
import { type Outlet, outletOf } from "../outlet.ts";
import type { AmqpError } from "../rhea-server.ts";
import { encodeEvent, type LastEnqueued } from "./event.ts";
import type { Hub } from "./hub.ts";
import type { Partition, Reader } from "./partition.ts";
import { parsePosition } from "./position.ts";

const SELECTOR = "apache.org:selector-filter:string";
const EPOCH = "com.microsoft:epoch";
const METRICS = "com.microsoft:enable-receiver-runtime-metric";
const FROM_START = "amqp.annotation.x-opt-offset > '-1'";

/** Delivers a partition's events over a link. */
export function openReading(sender: Sender, hub: Hub, group: string, partition: Partition): Opened {
  const position = parsePosition(selectorOf(sender));
  if ("error" in position) return position;
  const next = partition.find(position);
  if (typeof next === "object") return next;

  const ownership = hub.ownership(group, partition);
  const outlet = outletOf(sender);
  const wantsMetrics = [sender.desired_capabilities].flat().includes(METRICS);
  const reader = readerOn(outlet, next, () => (wantsMetrics ? partition.last : undefined));
  const owner = { epoch: epochOf(sender), displace: (error: AmqpError) => sender.close(error) };
  const error = ownership.claim(owner);
  if (error) return { error };
  partition.join(reader);
  outlet.onFlow(partition.flow);
  return {
    leave() {
      partition.leave(reader);
      ownership.release(owner);
    },
  };
}

function readerOn(outlet: Outlet, next: number, metrics: () => LastEnqueued | undefined): Reader {
  let tag = 0;
  return {
    next,
    free: outlet.free,
    onFlowed: outlet.answerDrain,
    deliver: (event) => void outlet.send(encodeEvent(event, metrics()), tagOf(tag++)),
  };
}

function tagOf(number: number): Buffer {
  const tag = Buffer.allocUnsafe(4);
  tag.writeUInt32BE(number % 2 ** 32);
  return tag;
}

function selectorOf({ source }: Sender): string {
  const filter = (source?.filter ?? {}) as Record<string, string | Typed | undefined>;
  const selector = filter[SELECTOR];
  return (typeof selector === "object" ? (selector.value as string) : selector) ?? FROM_START;
}

function epochOf({ properties }: Sender): number | undefined {
  const epoch: unknown = properties?.[EPOCH];
  return epoch === undefined || epoch === null ? undefined : Number(epoch);
}
