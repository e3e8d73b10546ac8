import type { Operations } from "./control.ts";
import type { Entities } from "./entities.ts";
import { countEvents, loadEvents, partitionsAt, peekEvents } from "./event-hubs/control.ts";
import { takeApart } from "./message.ts";
import type { Queue } from "./queue.ts";
import type { Counts, LoadRequest, NewHub, NewQueue, NewTopic, TruncateRequest } from "./shapes.ts";

const MANY = 1_000;

/** Queues, topics and hubs: made, loaded, looked into. */
export function entityOperations(entities: Entities): Operations {
  const queueAt = (entity: string) => {
    const queue = entities.source(entity);
    if (!queue) throw new Error(`looking into ${entity}: there is no such queue, subscription or event hub`);
    return queue;
  };
  const partitionsOf = (entity: string) => partitionsAt(entity, entities.hub);
  return {
    "create-queue": ({ name, options }: NewQueue) => entities.createQueue(name, options),
    "create-topic": ({ name, subscriptions }: NewTopic) => entities.createTopic(name, subscriptions),
    "create-event-hub": ({ name, options }: NewHub) => entities.createHub(name, options),
    counts({ entity }: { entity: string }) {
      const partitions = partitionsOf(entity);
      return partitions ? countEvents(partitions) : countsOf(queueAt(entity));
    },
    messages({ entity, limit = MANY }: { entity: string; limit?: number }) {
      const partitions = partitionsOf(entity);
      return partitions ? peekEvents(partitions, limit) : peek(queueAt(entity), limit);
    },
    load({ entity, messages, partition }: LoadRequest) {
      const decoded = messages.map((message) => Buffer.from(message, "base64"));
      const hub = entities.hub(entity);
      if (hub) return loadEvents(hub, decoded, partition);
      const destination = entities.destination(entity);
      if (!destination) throw new Error(`loading ${entity}: there is no such queue, topic or event hub`);
      const sent = decoded.map(takeApart);
      for (const queue of destination.queues) queue.enqueue(sent);
    },
    truncate({ hub, partition, before }: TruncateRequest) {
      const [found] = partitionsOf(`${hub}/Partitions/${partition}`) ?? [];
      if (!found) throw new Error(`truncating ${hub}: there is no such event hub`);
      found.truncate(before);
    },
    "expire-locks": ({ entity }: { entity: string }) => queueAt(entity).expireLocks(),
  };
}

function countsOf({ tally, deadLetters }: Queue): Counts {
  const { active, locked, deferred, scheduled, completed, enqueued } = tally;
  return { active, locked, deferred, scheduled, completed, enqueued, deadLettered: deadLetters?.messages.size ?? 0 };
}

function peek({ messages }: Queue, limit: number) {
  return messages
    .values()
    .take(limit)
    .map(({ sequence, bytes, state, deliveryCount, enqueuedAtMs, lockedUntilMs, deadLetterReason, sessionId }) => ({
      sequence,
      bytes: bytes.toString("base64"),
      state,
      deliveryCount,
      enqueuedAtMs,
      lockedUntilMs,
      deadLetterReason,
      sessionId,
    }))
    .toArray();
}
