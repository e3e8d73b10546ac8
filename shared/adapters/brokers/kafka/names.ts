import { BrokerError } from "../../../core/errors.ts";

/** Kafka's own rule, but that a name may not begin with what other brokers and file systems take for something else. */
const TOPIC = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,248}$/;
const GROUP = /^[^\p{Cc}]{1,255}$/u;

/** Refuses what is no name of a topic. Throws BrokerError `refused`. */
export function checkTopic(name: string): void {
  if (TOPIC.test(name)) return;
  const rule = "1 to 249 letters, digits or ._-, the first a letter, a digit or _";
  throw new BrokerError("refused", `naming a topic ${JSON.stringify(name.slice(0, 80))}: not a name; use ${rule}`);
}

/** Refuses what is no name of a consumer group. Throws BrokerError `refused`. */
export function checkGroup(name: string): void {
  if (GROUP.test(name)) return;
  throw new BrokerError(
    "refused",
    `naming a consumer group ${JSON.stringify(name.slice(0, 80))}: not a name; use 1 to 255 printable characters`,
  );
}
