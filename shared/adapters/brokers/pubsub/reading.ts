import type { PullStream } from "./connection.ts";
import type { PullResponse, ReceivedFields } from "./methods.ts";

/** Pub/Sub closes streams on which the client says nothing. */
const PING_EVERY_MS = 30_000;
/** What is on its way when a stream is given up still comes within this time; else it would wait for the end of its lease. */
const LAST_DELIVERIES_MS = 300;

/** Reads a stream until it ends, or until shortly after `signal` aborts. Resolves with the error that ended it, if any. */
export async function readStream(
  stream: PullStream,
  signal: AbortSignal,
  onDeliveries: (received: readonly ReceivedFields[]) => void,
): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const end = () => resolve(undefined);
  let isEnded = false;
  let last: NodeJS.Timeout | undefined;
  stream.on("error", resolve).on("end", end);
  stream.on("data", ({ receivedMessages }: PullResponse) => {
    if (!isEnded) onDeliveries(receivedMessages);
  });
  const ping = setInterval(() => stream.write({}), PING_EVERY_MS);
  const giveUp = () => {
    clearInterval(ping);
    stream.resume();
    stream.end();
    last = setTimeout(end, LAST_DELIVERIES_MS);
  };
  signal.addEventListener("abort", giveUp);
  if (signal.aborted) giveUp();
  try {
    return await promise;
  } finally {
    isEnded = true;
    clearInterval(ping);
    clearTimeout(last);
    signal.removeEventListener("abort", giveUp);
    stream.cancel();
  }
}
