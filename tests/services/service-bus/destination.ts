import type { SentMessage } from "./message.ts";
import type { Queue } from "./queue.ts";

/** What messages are sent to: a queue, or a topic, whose subscriptions each get each message. */
export interface Destination {
  readonly name: string;
  readonly queues: readonly Queue[];
  /** Takes a message that becomes active at a time; returns its sequence number until then. */
  schedule(message: SentMessage, atMs: number): number;
  /** False where none of that number is scheduled. */
  cancel(sequence: number): boolean;
}

export const queueDestination = (queue: Queue): Destination => ({
  name: queue.name,
  queues: [queue],
  schedule: queue.schedule,
  cancel: queue.cancel,
});

/** A topic numbers what is scheduled by itself: its subscriptions each have numbers of their own. */
export function topicDestination(name: string, queues: readonly Queue[]): Destination {
  const scheduled = new Map<number, readonly number[]>();
  let last = 0;
  return {
    name,
    queues,
    schedule(message, atMs) {
      const sequences = queues.map((queue) => queue.schedule(message, atMs));
      scheduled.set(++last, sequences);
      return last;
    },
    cancel(sequence) {
      const sequences = scheduled.get(sequence);
      scheduled.delete(sequence);
      return sequences?.map((own, i) => queues[i]?.cancel(own)).includes(true) ?? false;
    },
  };
}
