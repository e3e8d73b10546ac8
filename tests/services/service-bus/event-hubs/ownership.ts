import type { AmqpError } from "../rhea-server.ts";

/** A receiver of one partition in one consumer group. */
export interface Owner {
  /** Undefined: it shares the partition with others. */
  epoch: number | undefined;
  /** Ends it: another has taken the partition. */
  displace(error: AmqpError): void;
}

/** Who may read a partition in a consumer group: the one of the highest epoch alone, or several without. */
export interface Ownership {
  /** Displaces who must give way; returns why the owner itself must. */
  claim(owner: Owner): AmqpError | undefined;
  release(owner: Owner): void;
}

const MAX_SHARING = 5;

/** Nobody reads yet. */
export function createOwnership(): Ownership {
  const owners = new Set<Owner>();
  return {
    claim(owner) {
      const highest = Math.max(...[...owners].map(({ epoch }) => epoch ?? -1), -1);
      const { epoch } = owner;
      if (highest > (epoch ?? -1)) return stolen(`At least one receiver for the endpoint is created with epoch of '${highest}'.`);
      if (epoch === undefined && owners.size >= MAX_SHARING) return tooMany();
      if (epoch !== undefined) {
        for (const other of [...owners]) {
          owners.delete(other);
          other.displace(
            stolen(`New receiver with higher epoch of '${epoch}' is created hence the current receiver is getting disconnected.`),
          );
        }
      }
      owners.add(owner);
      return undefined;
    },
    release: (owner) => void owners.delete(owner),
  };
}

const stolen = (description: string): AmqpError => ({ condition: "amqp:link:stolen", description });

const tooMany = (): AmqpError => ({
  condition: "amqp:resource-limit-exceeded",
  description: `Exceeded the maximum number of allowed receivers per partition in a consumer group which is ${MAX_SHARING}.`,
});
