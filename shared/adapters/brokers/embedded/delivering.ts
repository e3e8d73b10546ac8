import { Moved } from "../../support/sqlite-worker.ts";
import type { Database } from "./database.ts";
import { packDeliveries } from "./frames.ts";
import { type Gathering, messagesBetween, moveCursor, noteRun, offer, startGathering } from "./gathering.ts";
import { gatherOrdered } from "./ordering.ts";
import type { ReceivedPart, ReceiveRequest } from "./protocol.ts";
import { dueRanges, nextDueMs } from "./ranges.ts";
import { handOverAgain } from "./redelivering.ts";
import { type SubscriptionRow, subscriptionById } from "./topics.ts";

const DUE_RANGES_AT_ONCE = 100;

/**
 * Hands over what is due. The leases are written, but not forced to the disk: after a power failure the messages merely count as never delivered.
 */
export function receive(db: Database, request: ReceiveRequest): Moved {
  const before = subscriptionById(db, request.subscription);
  if (!hasWork(db, before)) return replyOf(db, startGathering(before, request));
  const gathering = db.atomically("volatile", () => {
    const started = startGathering(subscriptionById(db, request.subscription), request);
    if (started.subscription.ordered) gatherOrdered(db, started);
    else gatherUnordered(db, started);
    return started;
  });
  return replyOf(db, gathering);
}

/** A look without a lock, so that waiting receives cost little. */
function hasWork(db: Database, { id, topic, cursor }: SubscriptionRow): boolean {
  const nowMs = Date.now();
  if (dueRanges(db, id, 0, nowMs, 1).length > 0 || dueRanges(db, id, 1, nowMs, 1).length > 0) return true;
  return (
    db.statement("SELECT 1 FROM messages INDEXED BY messages_of_topic WHERE topic = ? AND sequence > ? LIMIT 1").get(topic, cursor) !==
    undefined
  );
}

function replyOf(db: Database, gathering: Gathering): Moved {
  const { subscription, deliveries, bytes, full } = gathering;
  const frames = packDeliveries(deliveries);
  const part: ReceivedPart = {
    count: deliveries.length,
    bytes,
    frames,
    full,
    nextDueMs: nextDueMs(db, subscription.id, gathering.nowMs),
    deadLetteredTo: gathering.deadLetters > 0 ? (subscription.dead_letter_topic ?? undefined) : undefined,
  };
  return new Moved(part, [frames]);
}

function gatherUnordered(db: Database, gathering: Gathering): void {
  for (const leased of [0, 1] as const) {
    while (!gathering.full) {
      const due = dueRanges(db, gathering.subscription.id, leased, gathering.nowMs, DUE_RANGES_AT_ONCE);
      for (const range of due) {
        if (!gathering.full) handOverAgain(db, gathering, range);
      }
      if (due.length < DUE_RANGES_AT_ONCE) break;
    }
  }
  if (!gathering.full) handOverFresh(db, gathering);
}

function handOverFresh(db: Database, gathering: Gathering): void {
  const { subscription } = gathering;
  const before = gathering.deliveries.length;
  for (const row of messagesBetween(db, subscription.topic, subscription.cursor + 1, Number.MAX_SAFE_INTEGER)) {
    if (!offer(gathering, row, 1) || gathering.full) break;
  }
  const fresh = gathering.deliveries.slice(before);
  const [first, last] = [fresh[0], fresh.at(-1)];
  if (!first || !last) return;
  noteRun(db, gathering, { first: first.sequence, last: last.sequence, count: fresh.length, ordering_key: null }, true);
  moveCursor(db, subscription, last.sequence);
}
