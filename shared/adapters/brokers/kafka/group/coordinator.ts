import type { Broker } from "@platformatic/kafka";
import { type ApiFamily, FIND_COORDINATOR } from "../wire/apis.ts";
import type { Cluster } from "../wire/cluster.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";

/** The broker that keeps a group's members and offsets. */
export interface Coordinator {
  /** Asks it; one that has moved or is away is looked for anew at the next call. Throws the client's errors. */
  ask<A extends readonly unknown[], R>(family: ApiFamily<A, R>, ...args: A): Promise<R>;
}

const GROUP = 0;
/** The coordinator answers and says that the request itself is at fault: it need not be looked for. */
const ANSWERED = new Set(["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "MEMBER_ID_REQUIRED", "FENCED_INSTANCE_ID"]);

/** `requestTimeout` in milliseconds: a join is answered once all members have joined. */
export function createCoordinator(cluster: Cluster, group: string, requestTimeout: number): Coordinator {
  const connections = cluster.connections({ requestTimeout });
  let known: Broker | undefined;
  const find = async (): Promise<Broker> => {
    const { coordinators } = await cluster.askAny(FIND_COORDINATOR, GROUP, [group]);
    const [found] = coordinators;
    if (!found) throw new Error(`the cluster names no coordinator of group ${group}`);
    return { host: found.host, port: found.port };
  };
  return {
    async ask(family, ...args) {
      known ??= await find();
      try {
        return await connections.ask(known, family, ...args);
      } catch (error) {
        if (!ANSWERED.has(protocolCodeOf(error) ?? "")) known = undefined;
        throw error;
      }
    },
  };
}
