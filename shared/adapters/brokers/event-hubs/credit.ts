// @ts-expect-error: the library does not describe this file of its.
import link from "rhea/lib/link.js";

/*
 * The SDK means the credit of a receiver as a window, asking each time for as many messages as it has room for. Its AMQP library adds that to what
 * was asked for before, so that a receiver which gets a message now and then is allowed thousands more each minute, and a burst while the store is away
 * would fill the memory. The sum is set right here.
 */

interface RheaReceiver {
  readonly source: { address?: unknown } | undefined;
  /** Messages that were asked for and have not come. */
  readonly credit: number;
  flow(credit: number): void;
  add_credit(credit: number): void;
}

/** The SDK asks for as many as this at most, less those that it has received and not handed over. */
export const MAX_AHEAD = 1_000;

const windows = new Map<string, number>();
let isLimited = false;

/** Has a partition's receiver ask for up to `messages` ahead from now on, between 1 and MAX_AHEAD. */
export function limitAhead({ hub, group, partition }: PartitionName, messages: number): void {
  limitReceivers();
  windows.set(`${hub}/ConsumerGroups/${group}/Partitions/${partition}`.toLowerCase(), messages);
}

export interface PartitionName {
  hub: string;
  group: string;
  partition: string;
}

function limitReceivers(): void {
  if (isLimited) return;
  isLimited = true;
  const receiver = (link as { Receiver: { prototype: RheaReceiver } }).Receiver.prototype;
  const add = receiver.add_credit;
  receiver.add_credit = function (this: RheaReceiver, credit) {
    const window = windows.get(String(this.source?.address).toLowerCase());
    add.call(this, window === undefined ? credit : window - (MAX_AHEAD - credit) - this.credit);
  };
}
