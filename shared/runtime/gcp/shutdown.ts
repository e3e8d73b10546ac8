import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";

/** The platform ends an instance ten seconds after it said so. */
const CLOSE_WITHIN_MS = 9_000;

/**
 * Runs `close` on SIGTERM and SIGINT, then ends the process.
 *
 * The functions framework ends the process at once at a signal, with whatever it is answering: what is held would be pushed again instead of
 * being stored and settled. Its listeners come later than ours, so each is taken off as it is added.
 */
export function onShutdown(close: () => Promise<void>, log: Log): void {
  let isClosing = false;
  const shutDown = () => {
    if (isClosing) return;
    isClosing = true;
    const closed = close().catch((error) => log.error("closing the function failed", { error: errorText(error) }));
    const late = new Promise((resolve) => setTimeout(resolve, CLOSE_WITHIN_MS));
    // Answers that were just given still have to leave the socket.
    void Promise.race([closed, late]).then(() => setTimeout(() => process.exit(0), 50));
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, shutDown);
    process.on("newListener", (event, listener) => {
      if (event === signal && listener !== shutDown) queueMicrotask(() => process.off(signal, listener));
    });
  }
}
