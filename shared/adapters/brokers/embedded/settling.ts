import type { Database } from "./database.ts";
import type { SettleOp } from "./protocol.ts";
import { endLapsedLeases, type Range, rangeAt, replaceRange, sequencesBetween, takeBackLater } from "./ranges.ts";
import { type SubscriptionRow, subscriptionById } from "./topics.ts";

/** Settles the hand-overs that are still theirs who ask; returns how many. */
export function settle(db: Database, op: SettleOp): number {
  const subscription = subscriptionById(db, op.subscription);
  const nowMs = Date.now();
  if (subscription.ordered) endLapsedLeases(db, subscription.id, nowMs);
  const touched = touchedRanges(db, op);
  // From behind, since a release takes back what comes later of its key: that would no longer be theirs when its own turn comes.
  if (op.action === "release") touched.reverse();
  let settled = 0;
  for (const { range, wanted } of touched) settled += settleIn(db, subscription, range, wanted, op, nowMs);
  return settled;
}

interface Touched {
  range: Range;
  /** Ascending. */
  wanted: number[];
}

/** The leased ranges in which hand-overs are named that are still current. */
function touchedRanges(db: Database, { subscription, hands }: SettleOp): Touched[] {
  const touched: Touched[] = [];
  for (let i = 0; i < hands.length; ) {
    const range = rangeAt(db, subscription, hands[i] as number);
    if (!range) {
      i += 2;
      continue;
    }
    const wanted: number[] = [];
    for (; i < hands.length && (hands[i] as number) <= range.last; i += 2) {
      if (hands[i + 1] === range.attempt) wanted.push(hands[i] as number);
    }
    if (range.leased === 1 && wanted.length > 0) touched.push({ range, wanted });
  }
  return touched;
}

function settleIn(
  db: Database,
  subscription: SubscriptionRow,
  range: Range,
  wanted: readonly number[],
  op: SettleOp,
  nowMs: number,
): number {
  const { pieces, matched } = piecesOf(db, subscription.topic, range, wanted);
  const after: Range[] = [];
  for (const { piece, isMatch } of pieces) {
    if (!isMatch) after.push(piece);
    else if (op.action !== "acknowledge") after.push({ ...piece, leased: op.action === "extend" ? 1 : 0, until_ms: nowMs + op.ms });
  }
  replaceRange(db, subscription.id, range, after);
  if (op.action === "release" && range.ordering_key && matched > 0) takeBackLater(db, subscription.id, range.ordering_key, range.first);
  return matched;
}

interface Pieces {
  pieces: { piece: Range; isMatch: boolean }[];
  matched: number;
}

/** Cuts a range into runs of messages that are wanted and runs of those that are not. A wanted sequence that is no message of the topic counts for nothing. */
function piecesOf(db: Database, topic: number, range: Range, wanted: readonly number[]): Pieces {
  const isGapless = range.last - range.first + 1 === range.count;
  if (isGapless && wanted.length === range.count) return { pieces: [{ piece: range, isMatch: true }], matched: range.count };
  const pieces: Pieces["pieces"] = [];
  let matched = 0;
  let next = 0;
  for (const sequence of sequencesBetween(db, topic, range.first, range.last)) {
    while (next < wanted.length && (wanted[next] as number) < sequence) next++;
    const isMatch = wanted[next] === sequence;
    if (isMatch) matched++;
    const run = pieces.at(-1);
    if (run?.isMatch === isMatch) {
      run.piece.last = sequence;
      run.piece.count++;
    } else {
      pieces.push({ piece: { ...range, first: sequence, last: sequence, count: 1 }, isMatch });
    }
  }
  return { pieces, matched };
}
