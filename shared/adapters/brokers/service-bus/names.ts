import { BrokerError } from "../../../core/errors.ts";

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/;

/** Throws BrokerError `refused` where this is no name of a topic, queue or subscription. */
export function checkName(what: "topic or queue" | "subscription", name: string): void {
  const most = what === "subscription" ? 50 : 255;
  if (NAME.test(name) && name.length <= most) return;
  throw new BrokerError(
    "refused",
    `using ${what} ${JSON.stringify(name.slice(0, 80))} of Service Bus: a name has letters, digits and ._- between letters or digits, at most ${most}`,
  );
}
