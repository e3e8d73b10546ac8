import { type GroupCommit, groupCommit } from "../core/group-commit.ts";
import { contentSize, type Message } from "../core/message.ts";
import { type Outcome, persist } from "../core/persist/persist.ts";
import type { FunctionProcess } from "./function-process.ts";
import { openedOnce } from "./opened-once.ts";
import type { PipelineSettings } from "./settings/pipelines.ts";

export interface PersistCommitOptions {
  /** Objects of one pipeline that are written at the same time. */
  flushesInFlight: number;
  /** As for `groupCommit`. */
  returnMs?: number;
}

const QUIET_MS = 10;
/** What one instance holds for one pipeline; past it the trigger is told to slow down. */
const MAX_HELD_MESSAGES = 10_000;
const MAX_HELD_BYTES = 64_000_000;

/** Joins what triggers deliver at the same time for a pipeline, by its name, into batches. What is held is flushed once the instance ends. */
export function persistCommits(
  process: FunctionProcess,
  { flushesInFlight, returnMs }: PersistCommitOptions,
): (pipeline: string) => Promise<GroupCommit<Message, Outcome>> {
  const { settings, clock, log, meter } = process;
  const commits = new Set<GroupCommit<Message, Outcome>>();
  process.beforeClose(() => Promise.all([...commits].map((commit) => commit.close())));
  return openedOnce(async (name: string) => {
    const pipeline = await process.pipeline(name);
    const { maxMessages, maxBytes, triggerMaxWaitMs } = (settings.pipelines[name] as PipelineSettings).batch;
    const commit = groupCommit((messages: readonly Message[]) => persist(pipeline, messages, { clock, log, meter }), {
      maxItems: maxMessages,
      maxBytes,
      maxWaitMs: triggerMaxWaitMs,
      quietMs: QUIET_MS,
      returnMs,
      maxInFlight: flushesInFlight,
      maxHeldItems: MAX_HELD_MESSAGES,
      maxHeldBytes: MAX_HELD_BYTES,
      sizeOf: contentSize,
      clock,
    });
    commits.add(commit);
    return commit;
  });
}
