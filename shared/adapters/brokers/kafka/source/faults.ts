import type { Log } from "../../../../core/ports/log.ts";
import type { Failure } from "../../../support/pulling/health.ts";
import { brokerErrorOf } from "../errors.ts";
import type { AssignedPartition } from "./partition.ts";

/** What is told of partitions whose records cannot be read. Each holds back its own messages alone. */
export interface Faults {
  /** Logs those that are new. */
  tell(partitions: Iterable<AssignedPartition>): void;
  /** The first one; undefined where all can be read. */
  failure(partitions: Iterable<AssignedPartition>): Failure | undefined;
}

export function createFaults(topic: string, log: Log): Faults {
  const told = new WeakSet<object>();
  return {
    tell(partitions) {
      for (const { fault, index, position } of partitions) {
        if (!fault || told.has(fault)) continue;
        told.add(fault);
        log.error("records cannot be read", { topic, partition: index, offset: position, error: fault.error.message });
      }
    },
    failure(partitions) {
      for (const { fault, index, position } of partitions) {
        if (!fault) continue;
        const error = brokerErrorOf(fault.error, `reading partition ${index} of ${topic} at offset ${position}`);
        return { error, sinceMs: fault.sinceMs, atMs: fault.atMs, isTransient: false };
      }
      return undefined;
    },
  };
}
