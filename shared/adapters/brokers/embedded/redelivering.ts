import type { Database } from "./database.ts";
import { type Gathering, messagesBetween, offer } from "./gathering.ts";
import { copyToDeadLetters } from "./publishing.ts";
import { deleteRange, insertRange, type Range, replaceRange, sequencesBetween } from "./ranges.ts";

/** Hands over as much of a due range as fits; the rest stays due. Dead-letters it where its deliveries are used up. */
export function handOverAgain(db: Database, gathering: Gathering, range: Range): void {
  const { subscription } = gathering;
  if (subscription.max_attempts !== null && range.attempt - range.spared >= subscription.max_attempts) {
    deadLetterRange(db, gathering, range);
    return;
  }
  const attempt = range.attempt + 1;
  let taken = 0;
  let last = range.first;
  let rest: Range | undefined;
  for (const row of messagesBetween(db, subscription.topic, range.first, range.last)) {
    if (!offer(gathering, row, attempt)) {
      rest = { ...range, first: row[0], count: range.count - taken };
      break;
    }
    taken++;
    last = row[0];
  }
  if (taken === 0 && rest) return;
  const handedOver = { ...range, last, count: taken, attempt, leased: 1, until_ms: gathering.leaseUntilMs };
  replaceRange(db, subscription.id, range, taken > 0 ? [handedOver] : []);
  if (rest) insertRange(db, subscription.id, rest);
}

function deadLetterRange(db: Database, gathering: Gathering, range: Range): void {
  const { subscription } = gathering;
  for (const sequence of sequencesBetween(db, subscription.topic, range.first, range.last)) {
    copyToDeadLetters(db, subscription, sequence, range.attempt - range.spared);
    gathering.deadLetters++;
  }
  deleteRange(db, subscription.id, range.first);
}
