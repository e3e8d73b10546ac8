import { BrokerError } from "../../../core/errors.ts";

/** Topics and queues may lie in folders, as those of several frameworks do. */
const ENTITY = /^(?=.{1,260}$)[A-Za-z0-9_][A-Za-z0-9._~-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._~-]*)*$/;
const SUBSCRIPTION = /^(?=.{1,50}$)[A-Za-z0-9_][A-Za-z0-9._~-]*$/;

/** Throws BrokerError `refused` where this is no name of a topic, queue or subscription. */
export function checkName(what: "topic or queue" | "subscription", name: string): void {
  const isSubscription = what === "subscription";
  if ((isSubscription ? SUBSCRIPTION : ENTITY).test(name)) return;
  const rule = isSubscription ? "letters, digits and ._-~, at most 50" : "letters, digits and ._-~, slashes between them, at most 260";
  throw new BrokerError("refused", `using ${what} ${JSON.stringify(name.slice(0, 80))} of Service Bus: a name has ${rule}`);
}
