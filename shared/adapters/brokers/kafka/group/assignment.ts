/** A member of the group and the partitions that it holds. */
export interface Member {
  id: string;
  owned: readonly number[];
}

/**
 * Deals the partitions 0 to `partitionCount - 1` to the members: as evenly as can be, and each member keeps what it holds as far as that allows,
 * so that little is delivered twice. A partition that two members claim goes to the first.
 */
export function assign(members: readonly Member[], partitionCount: number): Map<string, number[]> {
  const sorted = members.toSorted((a, b) => b.owned.length - a.owned.length || (a.id < b.id ? -1 : 1));
  const least = Math.floor(partitionCount / sorted.length);
  const withOneMore = partitionCount % sorted.length;
  const free = new Set(Array.from({ length: partitionCount }, (_, partition) => partition));
  const assigned = new Map<string, number[]>();
  sorted.forEach(({ id, owned }, rank) => {
    const kept = owned.filter((partition) => free.has(partition)).slice(0, least + (rank < withOneMore ? 1 : 0));
    for (const partition of kept) free.delete(partition);
    assigned.set(id, kept);
  });
  const rest = free.values();
  sorted.forEach(({ id }, rank) => {
    const partitions = assigned.get(id) as number[];
    for (let missing = least + (rank < withOneMore ? 1 : 0) - partitions.length; missing > 0; missing--) {
      partitions.push(rest.next().value as number);
    }
    partitions.sort((a, b) => a - b);
  });
  return assigned;
}
