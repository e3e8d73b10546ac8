import { mapConcurrently } from "../../../core/concurrency.ts";
import type { Connection } from "./connection.ts";
import { brokerErrorOf, statusOf } from "./errors.ts";
import { type AckRequestFields, acknowledge, type Method, modifyAckDeadline } from "./methods.ts";

/** Pub/Sub takes requests of 512 KiB. */
const MAX_ID_BYTES = 500_000;
const MAX_IDS = 2_500;
const REQUESTS_IN_FLIGHT = 4;
const CALL_MS = 30_000;
const MAX_DEADLINE_SECONDS = 600;
/** What an exactly-once subscription says of an ack id whose lease was lost. */
const LOST_LEASE = "PERMANENT_FAILURE_INVALID_ACK_ID";

/** Settles deliveries of one subscription, by their ack ids. All throw BrokerError `broker_unavailable`. */
export interface Settling {
  /** Returns how many Pub/Sub did not name as lost. */
  acknowledge(ackIds: readonly string[]): Promise<number>;
  /** Ends the leases in so many milliseconds, in whole seconds rounded up, at most 600; 0 gives the deliveries back at once. */
  endLeasesIn(ms: number, ackIds: readonly string[]): Promise<void>;
}

export function createSettling(connection: Connection, subscription: () => Promise<string>): Settling {
  const settle = async (
    what: string,
    method: Method<AckRequestFields, unknown>,
    ackIds: readonly string[],
    seconds = 0,
  ): Promise<number> => {
    const endMs = performance.now() + CALL_MS;
    const counts = await mapConcurrently(cutsOf(ackIds), REQUESTS_IN_FLIGHT, async (ids) => {
      try {
        const path = await subscription();
        await connection.call(method, path, { subscription: path, ackIds: ids, ackDeadlineSeconds: seconds }, endMs);
        return ids.length;
      } catch (error) {
        const lost = lostLeases(error, ids);
        if (lost === 0) throw brokerErrorOf(error, { what, role: "roles/pubsub.subscriber" });
        return ids.length - lost;
      }
    });
    return counts.reduce((sum, count) => sum + count, 0);
  };
  return {
    acknowledge: (ackIds) => settle("acknowledging deliveries", acknowledge, ackIds),
    async endLeasesIn(ms, ackIds) {
      await settle("changing leases", modifyAckDeadline, ackIds, Math.min(MAX_DEADLINE_SECONDS, Math.ceil(Math.max(0, ms) / 1000)));
    },
  };
}

function cutsOf(ackIds: readonly string[]): string[][] {
  const cuts: string[][] = [];
  let bytes = 0;
  for (const id of ackIds) {
    const cut = cuts.at(-1);
    if (!cut || cut.length >= MAX_IDS || bytes + id.length > MAX_ID_BYTES) {
      cuts.push([id]);
      bytes = 0;
    } else cut.push(id);
    bytes += id.length + ID_OVERHEAD;
  }
  return cuts;
}

/** Tag and length of an ack id in a request. */
const ID_OVERHEAD = 4;

/** How many ids the error names as lost: an exactly-once subscription fails the call for them, having settled the others. */
function lostLeases(error: unknown, ackIds: readonly string[]): number {
  if (statusOf(error) === undefined) return 0;
  const { metadata } = error as { metadata?: { get(name: string): unknown[] } };
  const [details] = metadata?.get("grpc-status-details-bin") ?? [];
  if (!Buffer.isBuffer(details) || !details.includes(LOST_LEASE)) return 0;
  return ackIds.filter((id) => details.includes(id)).length;
}
