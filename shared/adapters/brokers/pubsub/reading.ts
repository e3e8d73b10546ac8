import type { PullStream } from "./connection.ts";
import type { PullResponse, ReceivedFields } from "./methods.ts";

/** Pub/Sub closes streams on which the client says nothing. */
const PING_EVERY_MS = 30_000;

/** Reads a stream until it ends or `signal` aborts, then cancels it. Resolves with the error that ended it, if any. */
export async function readStream(
  stream: PullStream,
  signal: AbortSignal,
  onDeliveries: (received: readonly ReceivedFields[]) => void,
): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const end = () => resolve(undefined);
  let isEnded = false;
  stream.on("error", resolve).on("end", end);
  stream.on("data", ({ receivedMessages }: PullResponse) => {
    if (!isEnded) onDeliveries(receivedMessages);
  });
  const ping = setInterval(() => stream.write({}), PING_EVERY_MS);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    return await promise;
  } finally {
    isEnded = true;
    clearInterval(ping);
    signal.removeEventListener("abort", end);
    stream.cancel();
  }
}
