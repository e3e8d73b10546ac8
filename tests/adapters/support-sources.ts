import { randomUUID } from "node:crypto";
import type { Message } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { payloadText } from "../contract/support-messages.ts";

const TAKEN_AT_ONCE = 5_000;

/** Receives until there are `count`, or none has come for `maxWaitMs`. */
export async function receiveAll(source: Source, count: number, maxWaitMs = 30_000): Promise<Delivery[]> {
  const all: Delivery[] = [];
  while (all.length < count) {
    const more = await source.receive({ maxMessages: count - all.length, maxBytes: 60_000_000, maxWaitMs });
    if (more.length === 0) break;
    all.push(...more);
  }
  return all;
}

/** Receives until there are `count`, however slowly they come, and then what else comes within `quietMs`. */
export async function receiveAndMore(source: Source, count: number, quietMs: number): Promise<Delivery[]> {
  const all = await receiveAll(source, count);
  return all.length < count ? all : [...all, ...(await receiveAll(source, Number.MAX_SAFE_INTEGER, quietMs))];
}

/** As `receiveAndMore`, and acknowledges what comes at once: for more messages than a source lets be held. */
export async function takeAndMore(source: Source, count: number, quietMs: number): Promise<Message[]> {
  const all: Message[] = [];
  while (all.length < count) {
    const deliveries = await receiveAll(source, Math.min(TAKEN_AT_ONCE, count - all.length));
    if (deliveries.length === 0) return all;
    await source.acknowledge(deliveries);
    all.push(...deliveries.map(({ message }) => message));
  }
  const more = await receiveAll(source, TAKEN_AT_ONCE, quietMs);
  await source.acknowledge(more);
  return [...all, ...more.map(({ message }) => message)];
}

/** Receives until the message of this text has come. */
export async function receiveThrough(source: Source, text: string): Promise<Delivery[]> {
  const all: Delivery[] = [];
  await eventually(async () => {
    all.push(...(await source.receive({ maxMessages: 10_000, maxBytes: 60_000_000, maxWaitMs: 200 })));
    return texts(all).includes(text);
  });
  return all;
}

export const freshTopic = (name: string) => `${name}-${randomUUID().slice(0, 8)}`;

/** Polls until `work` is true. */
export async function eventually(work: () => Promise<boolean> | boolean, withinMs = 20_000): Promise<void> {
  const endMs = Date.now() + withinMs;
  while (!(await work())) {
    if (Date.now() > endMs) throw new Error("it did not come to pass in time");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const texts = (deliveries: readonly Delivery[]) => deliveries.map(({ message }) => payloadText(message));
/** Texts `m<from>` to before `m<to>`. */
export const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `m${from + i}`);
