import type { CommitOptionsPartition } from "@platformatic/kafka";
import type { KafkaRecord } from "./input.ts";

/** Offsets that are done with, and are committed in turns (librdkafka's auto.commit over stored offsets). */
export interface Commits {
  /** Nothing up to these records comes again to the group. */
  store(records: readonly KafkaRecord[]): void;
  /** Commits what is stored, now, and no more from then on. */
  finish(): Promise<void>;
  /** Forgets what is stored. */
  abandon(): void;
}

export function createCommits(
  intervalMs: number,
  commit: (offsets: CommitOptionsPartition[]) => Promise<void>,
  onError: (error: Error) => void,
): Commits {
  const stored = new Map<number, CommitOptionsPartition>();
  let last: Promise<void> = Promise.resolve();
  const flush = () => {
    last = last.then(async () => {
      const offsets = [...stored.values()];
      stored.clear();
      if (offsets.length > 0) await commit(offsets).catch(onError);
    });
    return last;
  };
  const timer = setInterval(flush, intervalMs);
  return {
    store(records) {
      for (const { topic, partition, offset, leaderEpoch } of records)
        stored.set(partition, { topic, partition, offset: offset + 1n, leaderEpoch });
    },
    finish() {
      clearInterval(timer);
      return flush();
    },
    abandon() {
      clearInterval(timer);
      stored.clear();
    },
  };
}
