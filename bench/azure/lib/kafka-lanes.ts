import { createExecutor } from "../../../tests/services/azure-host/executor.ts";
import type { HostLog } from "../../../tests/services/azure-host/host-log.ts";
import { batchInputOf, type KafkaRecord } from "../../../tests/services/azure-host/kafka/input.ts";
import type { Capabilities, FunctionMetadata } from "../../../tests/services/azure-host/rpc.ts";
import type { Worker } from "../../../tests/services/azure-host/worker-process.ts";
import { FIRST_PUBLISH_MS, FLIGHTS, messageAt } from "../../lib/flights.ts";

type Input = ReturnType<typeof batchInputOf>;

/** Flights 0 to `count` - 1, which go to the partitions in turns. */
export interface LanesOrder {
  count: number;
  partitions: number;
  /** Of an invocation. */
  batchRecords: number;
}

/** What the trigger hands over, for each partition one batch after the other, ready in memory. */
export function lanesOf({ count, partitions, batchRecords }: LanesOrder, capabilities: Capabilities): Input[][] {
  return Array.from({ length: partitions }, (_, partition) => {
    const records = Math.ceil((count - partition) / partitions);
    return Array.from({ length: Math.ceil(records / batchRecords) }, (_, batch) => {
      const first = batch * batchRecords;
      const size = Math.min(batchRecords, records - first);
      const some = Array.from({ length: size }, (_, i) => recordAt(partition, first + i, partitions));
      return batchInputOf(some, "binary", capabilities);
    });
  });
}

function recordAt(partition: number, offset: number, partitions: number): KafkaRecord {
  const i = offset * partitions + partition;
  const { payload, attributes } = messageAt(i);
  const record: Partial<KafkaRecord> = {
    topic: FLIGHTS,
    partition,
    offset: BigInt(offset),
    timestamp: BigInt(FIRST_PUBLISH_MS + i),
    key: Buffer.from(String(i)),
    value: payload as Buffer,
    headerEntries: attributes.map(({ name, value }) => [Buffer.from(name), Buffer.from(value as string)]),
  };
  return record as KafkaRecord;
}

/** Invokes the function with all batches: those of different partitions side by side, the next of each as soon as its last is done. Throws what it throws. */
export async function invokeLanes(lanes: readonly (readonly Input[])[], worker: Worker, fn: FunctionMetadata, log: HostLog): Promise<void> {
  const { execute } = createExecutor(log, undefined);
  const [binding] = fn.bindings;
  await Promise.all(
    lanes.map(async (batches) => {
      for (const input of batches) {
        const { error } = await execute({ fn, worker, bindingName: binding?.name ?? "", input: () => input });
        if (error) throw error;
      }
    }),
  );
}
