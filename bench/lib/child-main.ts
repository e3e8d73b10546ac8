import type { FromChild, Measure } from "./child.ts";

function tell(message: FromChild, done?: () => void): void {
  process.send?.(message, undefined, undefined, done);
}

async function work({ module, argument }: { module: string; argument: unknown }): Promise<void> {
  try {
    const { measure } = (await import(module)) as { measure: Measure<unknown, unknown> };
    const result = await measure(argument, (progress) => tell({ progress }));
    tell({ result }, () => process.exit(0));
  } catch (error) {
    tell({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, () => process.exit(1));
  }
}

process.once("message", work);
// Who asked is gone: nobody waits for the result.
process.once("disconnect", () => process.exit(1));
// What a bench started ends with its process; a signal alone would leave it running.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));
