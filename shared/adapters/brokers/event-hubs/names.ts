import { BrokerError } from "../../../core/errors.ts";

const HUB = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/;
const GROUP = /^(?:\$Default|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,48}[A-Za-z0-9])?)$/i;

/** Refuses what is no name of an event hub. Throws BrokerError `refused`. */
export function checkHub(name: string): void {
  if (HUB.test(name)) return;
  const rule = "1 to 255 letters, digits or ._-, the first and the last a letter or a digit";
  throw new BrokerError("refused", `naming an event hub ${shown(name)}: not a name; use ${rule}`);
}

/** Refuses what is no name of a consumer group. Throws BrokerError `refused`. */
export function checkGroup(name: string): void {
  if (GROUP.test(name)) return;
  const rule = "$Default, or 1 to 50 letters, digits or ._-, the first and the last a letter or a digit";
  throw new BrokerError("refused", `naming a consumer group ${shown(name)}: not a name; set source.subscription to ${rule}`);
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
