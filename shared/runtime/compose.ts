import type { EmbeddedBroker } from "../adapters/brokers/embedded/adapter.ts";
import type { OpenedIndex } from "../adapters/registry.ts";
import type { Pipeline } from "../core/pipeline.ts";
import type { JobStore } from "../core/ports/job-store.ts";
import type { WorkItems } from "../core/ports/work-items.ts";
import { createPorts, type PortOptions, type Ports } from "./ports.ts";
import type { Settings } from "./settings/settings.ts";

export type { PortWrappers } from "./ports.ts";

/** Everything that the settings name, open: for processes that serve all of it. */
export interface Composition extends Omit<Ports, "pipeline" | "index" | "jobs"> {
  pipelines: ReadonlyMap<string, Pipeline>;
  index: OpenedIndex;
  jobs: JobStore;
  items: WorkItems;
  /** The broker of this machine. */
  embedded(): Promise<EmbeddedBroker>;
  /** The pipelines that write into a collection; empty where there is none of that name. */
  pipelinesOf(collection: string): readonly Pipeline[];
}

/** Opens every port that the settings name; what was opened is closed again where one cannot be. Throws the adapters' errors. */
export async function compose(settings: Settings, options: PortOptions): Promise<Composition> {
  const ports = createPorts(settings, options);
  try {
    return await composed(ports);
  } catch (error) {
    await ports.close();
    throw error;
  }
}

/** The same over ports of which some may be open already; they stay open where one cannot be. */
export async function composed(ports: Ports): Promise<Composition> {
  const [index, { jobs, items }, ...pipelines] = await Promise.all([
    ports.index(),
    ports.jobs(),
    ...Object.keys(ports.settings.pipelines).map((name) => ports.pipeline(name)),
  ]);
  const byCollection = Map.groupBy(
    pipelines.filter(({ index: target }) => target),
    ({ index: target }) => target?.collection as string,
  );
  return {
    ...ports,
    index,
    jobs,
    items,
    pipelines: new Map(pipelines.map((pipeline) => [pipeline.name, pipeline])),
    embedded: () => ports.broker("embedded") as Promise<EmbeddedBroker>,
    pipelinesOf: (collection) => byCollection.get(collection) ?? [],
  };
}
