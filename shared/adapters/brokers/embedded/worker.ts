import { serveSqliteWorker, type WorkerMethods } from "../../support/sqlite-worker.ts";
import { type Database, openDatabase } from "./database.ts";
import { receive } from "./delivering.ts";
import { mappingErrors } from "./errors.ts";
import type { OpenedSubscription, ReceiveRequest, SubscriptionRequest, WorkerData, WriteOp } from "./protocol.ts";
import { publish } from "./publishing.ts";
import { endLeases } from "./ranges.ts";
import { dropSettled, sweep } from "./retention.ts";
import { settle } from "./settling.ts";
import { summarize } from "./summaries.ts";
import { createTopic, ensureSubscription, findSubscription, subscriptionById, topicById } from "./topics.ts";

/** Settled messages of a topic that keeps none are deleted when so many have gathered; the sweep takes the rest. */
const DROP_AT = 1000;

serveSqliteWorker(({ file, retentionMs }: WorkerData): WorkerMethods => {
  const db = mappingErrors("opening the broker's database", () => openDatabase(file));
  const settledSinceDrop = new Map<number, number>();
  const changing = <T>(doing: string, work: () => T) => mappingErrors(doing, () => db.atomically("durable", work));

  return {
    methods: {
      write: (ops: readonly WriteOp[]) => changing("writing to the broker", () => ops.map((op) => writeOne(db, op, settledSinceDrop))),
      receive: (request: ReceiveRequest) => mappingErrors("receiving from the broker", () => receive(db, request)),
      createTopic: ({ name, retained }: { name: string; retained: boolean }) =>
        changing(`creating topic ${name}`, () => createTopic(db, name, retained)),
      ensureSubscription: (request: SubscriptionRequest) =>
        mappingErrors(`creating subscription ${request.topic}/${request.name}`, () => opened(db, request)),
      endLeases: () => changing("ending leases", () => endLeases(db)),
      findSubscription: ({ topic, name }: { topic: string; name: string }) =>
        mappingErrors("looking for a subscription", () => findSubscription(db, topic, name)?.id),
      topics: () => mappingErrors("listing topics", () => summarize(db)),
      sweep: () => mappingErrors("deleting expired messages", () => sweep(db, retentionMs)),
    },
    close: () => db.close(),
  };
});

/** Without a write where nothing would change, since every pull comes by here. */
function opened(db: Database, request: SubscriptionRequest): OpenedSubscription {
  const found = findSubscription(db, request.topic, request.name);
  const isAsWanted = request.onlyCreate && found && (found.durable === 1 || !request.options.durable);
  return isAsWanted ? { id: found.id, leaseMs: found.lease_ms } : db.atomically("durable", () => ensureSubscription(db, request));
}

function writeOne(db: Database, op: WriteOp, settledSinceDrop: Map<number, number>): number {
  if (op.kind === "publish") return publish(db, op);
  const settled = settle(db, op);
  if (op.action === "acknowledge") dropSometimes(db, op.subscription, settled, settledSinceDrop);
  return settled;
}

function dropSometimes(db: Database, subscription: number, settled: number, settledSinceDrop: Map<number, number>): void {
  const { topic } = subscriptionById(db, subscription);
  const gathered = (settledSinceDrop.get(topic) ?? 0) + settled;
  settledSinceDrop.set(topic, gathered < DROP_AT ? gathered : 0);
  if (gathered >= DROP_AT) dropSettled(db, topicById(db, topic));
}
