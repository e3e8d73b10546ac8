import rhea, { type Message, type Typed } from "rhea";
import { notFound } from "../errors.ts";
import type { Reply } from "../requests.ts";
import type { AmqpError } from "../rhea-server.ts";
import type { Hub } from "./hub.ts";
import type { Partition } from "./partition.ts";

const { wrap_array, wrap_int, wrap_long, wrap_timestamp } = rhea.types;
const STRING = 0xa1;
const STATUSES: Readonly<Record<string, number>> = { "amqp:not-found": 404, "amqp:not-implemented": 501 };

/** Answers a request about the hub that it names. `find`: undefined also where the client may not ask. */
export function answerHubManagement(request: Message, find: (name: string) => Hub | undefined): Reply {
  const { operation, type, name, partition: id } = (request.application_properties ?? {}) as Record<string, string>;
  const hub = find(String(name));
  if (!hub) return refused(notFound(String(name)));
  if (operation !== "READ")
    return refused({ condition: "amqp:not-implemented", description: `There is no operation '${operation}' here.` });
  if (type === "com.microsoft:eventhub") return found(hubInfo(hub));
  if (type !== "com.microsoft:partition")
    return refused({ condition: "amqp:not-implemented", description: `There is no type '${type}' here.` });
  const partition = hub.partition(String(id));
  return "error" in partition ? refused(partition.error) : found(partitionInfo(hub, partition));
}

const hubInfo = ({ name, createdAtMs, partitions }: Hub): Record<string, unknown> => ({
  name,
  type: "com.microsoft:eventhub",
  created_at: wrap_timestamp(createdAtMs),
  partition_count: wrap_int(partitions.length),
  partition_ids: wrap_array(
    partitions.map(({ id }) => id),
    STRING,
    undefined,
  ) as Typed,
  georeplication_factor: wrap_int(1),
});

const partitionInfo = ({ name }: Hub, { id, firstSequence, last, isEmpty }: Partition): Record<string, unknown> => ({
  name,
  type: "com.microsoft:partition",
  partition: id,
  begin_sequence_number: wrap_long(firstSequence),
  last_enqueued_sequence_number: wrap_long(last.sequence),
  last_enqueued_offset: last.offset,
  last_enqueued_time_utc: wrap_timestamp(last.enqueuedAtMs),
  is_partition_empty: isEmpty,
});

const found = (body: Record<string, unknown>): Reply => ({ properties: { "status-code": 200, "status-description": "OK" }, body });

const refused = ({ condition, description }: AmqpError): Reply => ({
  properties: { "status-code": STATUSES[condition] ?? 400, "status-description": description, "error-condition": condition },
});
