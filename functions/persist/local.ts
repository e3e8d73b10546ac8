import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import type { Composition } from "../../shared/runtime/compose.ts";
import { persistSource } from "../../shared/runtime/persist-source.ts";

/** Persists what arrives for one pipeline, until `signal` aborts. */
export async function persistLocally(pipeline: Pipeline, source: Source, composition: Composition, signal: AbortSignal): Promise<void> {
  await persistSource(pipeline, source, composition, { signal });
  await source.close();
}
