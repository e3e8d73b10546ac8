import { roundedUp, timeOf } from "./function-time.ts";
import type { Inputs } from "./inputs.ts";
import { dollarsFor, type PRICES } from "./prices.ts";
import { drainsOf } from "./pull-time.ts";

/**
 * How messages come into the store. `push`: Pub/Sub pushes to `persist`, which joins what it holds. `pull`: a scheduler starts
 * `persist-pull`. `unbatched`: what a plain function does; an object and, with the index, a write to the database for each message.
 */
export type Way = "push" | "pull" | "unbatched";

/** What a way uses for some messages. The user's own publishing and the index's database are not in it. */
export interface Usage {
  requests: number;
  vcpuSeconds: number;
  gibSeconds: number;
  classAOperations: number;
  /** Of one month. */
  storedGibHours: number;
  deliveryTib: number;
  indexTopicTib: number;
  schedulerJobMonths: number;
}

/** What a way uses and costs for a million messages. */
export interface Cost {
  messagesPerObject: number;
  usage: Usage;
  /** In US dollars, by part. */
  dollars: Record<keyof Usage, number>;
  total: number;
}

const MESSAGES = 1e6;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const MONTH_HOURS = 730;
const MONTH_SECONDS = MONTH_HOURS * 3600;
/** A published, pushed or pulled request counts as this many bytes at least (https://cloud.google.com/pubsub/pricing). */
const MIN_REQUEST_BYTES = 1_000;
/** What Pub/Sub counts beside payload and attributes: 20 bytes of time, and an id of usually 16. */
const ENVELOPE_BYTES = 36;

const PRICE_OF: Record<keyof Usage, keyof typeof PRICES> = {
  requests: "request",
  vcpuSeconds: "vcpuSecond",
  gibSeconds: "gibSecond",
  classAOperations: "classAOperation",
  storedGibHours: "storedGibHour",
  deliveryTib: "pubsubTib",
  indexTopicTib: "pubsubTib",
  schedulerJobMonths: "schedulerJobMonth",
};

/** US dollars for a million messages. */
export function costOf(way: Way, withIndex: boolean, inputs: Inputs): Cost {
  const { messagesPerObject, usage } = WAYS[way](withIndex, inputs);
  const dollars = dollarsOf(usage);
  return { messagesPerObject, usage, dollars, total: Object.values(dollars).reduce((sum, part) => sum + part, 0) };
}

/** Each part of a usage at its price. */
export function dollarsOf(usage: Usage): Record<keyof Usage, number> {
  const parts = Object.entries(PRICE_OF).map(([part, price]) => [part, dollarsFor(price, usage[part as keyof Usage])]);
  return Object.fromEntries(parts) as Record<keyof Usage, number>;
}

interface WayUsage {
  messagesPerObject: number;
  usage: Usage;
}

const WAYS: Record<Way, (withIndex: boolean, inputs: Inputs) => WayUsage> = {
  push(withIndex, inputs) {
    const { messagesPerSecond, latency, groupCommit, measured } = inputs;
    const time = timeOf(
      {
        requestsPerSecond: messagesPerSecond,
        maxWaitSeconds: groupCommit.maxWaitSeconds,
        flushSeconds: latency.putSeconds + (withIndex ? latency.publishSeconds : 0),
        maxRequests: groupCommit.maxMessages,
        cpuShare: messagesPerSecond * measured.pushCpuSeconds,
      },
      inputs.instance,
    );
    const messagesPerObject = objectSize(time.requestsPerBatch, inputs);
    const own = ownUsage(MESSAGES, time.instanceSecondsPerSecond, messagesPerObject, inputs);
    return { messagesPerObject, usage: withIndex ? plusIndex(own, messagesPerObject, inputs) : own };
  },

  pull(withIndex, inputs) {
    const { messagesPerSecond, pull, instance } = inputs;
    const { drains, drainSeconds, batches } = drainsOf(inputs);
    const messagesPerRound = messagesPerSecond * pull.everySeconds;
    const messagesPerObject = objectSize(messagesPerRound / batches, inputs);
    const instanceSecondsPerSecond = (drains * roundedUp(drainSeconds, instance.billedStepSeconds)) / pull.everySeconds;
    const own = ownUsage((MESSAGES * drains) / messagesPerRound, instanceSecondsPerSecond, messagesPerObject, inputs);
    own.schedulerJobMonths = (drains * MESSAGES) / (messagesPerSecond * MONTH_SECONDS);
    return { messagesPerObject, usage: withIndex ? plusIndex(own, messagesPerObject, inputs) : own };
  },

  unbatched(withIndex, inputs) {
    const { messagesPerSecond, latency, measured } = inputs;
    const time = timeOf(
      {
        requestsPerSecond: messagesPerSecond,
        maxWaitSeconds: 0,
        flushSeconds: latency.putSeconds + (withIndex ? latency.indexWriteSeconds : 0),
        maxRequests: 1,
        cpuShare: messagesPerSecond * (measured.pushCpuSeconds + measured.objectCpuSeconds + (withIndex ? measured.indexCpuSeconds : 0)),
      },
      inputs.instance,
    );
    const usage = ownUsage(MESSAGES, time.instanceSecondsPerSecond, 1, inputs);
    // The message as it is, neither packed nor compressed.
    usage.storedGibHours = gibHours(MESSAGES * (inputs.payloadBytes + inputs.attributeBytes));
    return { messagesPerObject: 1, usage };
  },
};

function objectSize(messagesPerBatch: number, { pathsPerBatch }: Inputs): number {
  return Math.max(1, messagesPerBatch / pathsPerBatch);
}

const gibHours = (bytes: number) => (bytes / GIB) * MONTH_HOURS;

/** Everything but the index, for a million messages. */
function ownUsage(requests: number, instanceSecondsPerSecond: number, messagesPerObject: number, inputs: Inputs): Usage {
  const { messagesPerSecond, payloadBytes, attributeBytes, instance, measured } = inputs;
  const instanceSeconds = (instanceSecondsPerSecond * MESSAGES) / messagesPerSecond;
  const objects = MESSAGES / messagesPerObject;
  return {
    requests,
    vcpuSeconds: instanceSeconds * instance.vcpu,
    gibSeconds: instanceSeconds * instance.memoryGib,
    classAOperations: objects,
    storedGibHours: gibHours(MESSAGES * measured.storedBytesPerMessage + objects * measured.storedBytesPerObject),
    deliveryTib: (MESSAGES * Math.max(MIN_REQUEST_BYTES, payloadBytes + attributeBytes + ENVELOPE_BYTES)) / TIB,
    indexTopicTib: 0,
    schedulerJobMonths: 0,
  };
}

/** Adds the index topic, and the function `index` that it pushes to. */
function plusIndex(own: Usage, messagesPerObject: number, inputs: Inputs): Usage {
  const { messagesPerSecond, measured, indexCommit, latency, instance } = inputs;
  const recordsBytes = messagesPerObject * measured.indexBytesPerMessage;
  const perObject = Math.ceil(recordsBytes / indexCommit.maxMessageBytes);
  const objects = MESSAGES / messagesPerObject;
  const indexMessages = objects * perObject;
  const { instanceSecondsPerSecond } = timeOf(
    {
      requestsPerSecond: (messagesPerSecond * indexMessages) / MESSAGES,
      maxWaitSeconds: indexCommit.maxWaitSeconds,
      flushSeconds: latency.indexWriteSeconds,
      maxRequests: instance.concurrency,
      cpuShare: messagesPerSecond * (measured.indexCpuSeconds + (measured.pushCpuSeconds * indexMessages) / MESSAGES),
    },
    instance,
  );
  const instanceSeconds = (instanceSecondsPerSecond * MESSAGES) / messagesPerSecond;
  const bytes = recordsBytes / perObject + ENVELOPE_BYTES;
  // One publish request takes all index messages of an object; each is pushed alone.
  const published = objects * Math.max(MIN_REQUEST_BYTES, bytes * perObject);
  const delivered = indexMessages * Math.max(MIN_REQUEST_BYTES, bytes);
  return {
    ...own,
    requests: own.requests + indexMessages,
    vcpuSeconds: own.vcpuSeconds + instanceSeconds * instance.vcpu,
    gibSeconds: own.gibSeconds + instanceSeconds * instance.memoryGib,
    indexTopicTib: (published + delivered) / TIB,
  };
}
