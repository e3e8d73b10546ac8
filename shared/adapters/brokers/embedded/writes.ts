import { BrokerError } from "../../../core/errors.ts";
import type { SqliteWorker } from "../../support/sqlite-worker.ts";
import { brokerErrorOf } from "./errors.ts";
import type { WriteOp } from "./protocol.ts";

/** Bytes joined into one transaction at most; a single larger write goes alone. */
const JOINED_BYTES = 32 * 1024 * 1024;
/** Bytes that may wait; past it writers are refused. */
const WAITING_BYTES = 96 * 1024 * 1024;

/** Durable writes, joined: while one transaction is under way, those that come in gather for the next one. */
export interface Writes {
  /** Resolves once the write is on the disk. Throws BrokerError `broker_unavailable`, or `overloaded` where too much waits. */
  submit(op: WriteOp): Promise<number>;
  /** Resolves when nothing waits any more. */
  drained(): Promise<void>;
}

interface Waiting {
  op: WriteOp;
  bytes: number;
  resolve(result: number): void;
  reject(error: BrokerError): void;
}

export function joinedWrites(worker: SqliteWorker): Writes {
  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let running: Promise<void> | undefined;

  const takeJoined = (): Waiting[] => {
    let count = 0;
    let bytes = 0;
    while (count < waiting.length) {
      bytes += (waiting[count] as Waiting).bytes;
      if (count > 0 && bytes > JOINED_BYTES) break;
      count++;
    }
    const joined = waiting.slice(0, count);
    waiting = waiting.slice(count);
    for (const write of joined) waitingBytes -= write.bytes;
    return joined;
  };

  const writeAll = async () => {
    while (waiting.length > 0) {
      const joined = takeJoined();
      const ops = joined.map(({ op }) => op);
      try {
        const results = await worker.call<number[]>("write", ops, ops.map(bufferOf));
        joined.forEach((write, i) => {
          write.resolve(results[i] as number);
        });
      } catch (error) {
        const failure = brokerErrorOf(error, "writing to the broker");
        for (const write of joined) write.reject(failure);
      }
    }
    running = undefined;
  };

  return {
    submit(op) {
      const bytes = bufferOf(op).byteLength;
      if (waiting.length > 0 && waitingBytes + bytes > WAITING_BYTES) {
        const text = `writing to the broker: ${waitingBytes} bytes wait already; slow down and send again`;
        return Promise.reject(new BrokerError("overloaded", text, { retryable: true }));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ op, bytes, resolve, reject });
        waitingBytes += bytes;
        running ??= writeAll();
      });
    },
    drained: async () => running,
  };
}

function bufferOf(op: WriteOp): ArrayBuffer {
  return op.kind === "publish" ? op.frames : (op.hands.buffer as ArrayBuffer);
}
