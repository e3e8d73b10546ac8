/** What an address of a link names. Names are compared without regard to case. */
export interface Address {
  /** The queue, topic or hub. */
  entity: string;
  subscription?: string;
  isDeadLetter: boolean;
  isManagement: boolean;
  /** Of a hub. */
  consumerGroup?: string;
  partition?: string;
}

const TAILS = { deadLetter: "/$deadletterqueue", management: "/$management" };

/** Takes an address apart: `entity[/Subscriptions/name][/$DeadLetterQueue][/$management]`, `hub[/ConsumerGroups/group]/Partitions/n`. */
export function parseAddress(address: string): Address {
  let rest = address.replace(/^\/+|\/+$/g, "");
  const cut = (tail: string) => {
    const has = rest.toLowerCase().endsWith(tail);
    if (has) rest = rest.slice(0, -tail.length);
    return has;
  };
  const isManagement = cut(TAILS.management);
  const isDeadLetter = cut(TAILS.deadLetter);
  const ofHub = /^(.+?)(?:\/consumergroups\/([^/]+))?\/partitions\/([^/]+)$/i.exec(rest);
  if (ofHub) return { entity: ofHub[1] as string, consumerGroup: ofHub[2], partition: ofHub[3], isManagement, isDeadLetter };
  const ofTopic = /^(.+)\/subscriptions\/([^/]+)$/i.exec(rest);
  if (ofTopic) return { entity: ofTopic[1] as string, subscription: ofTopic[2], isManagement, isDeadLetter };
  return { entity: rest, isManagement, isDeadLetter };
}
