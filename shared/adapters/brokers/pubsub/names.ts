import { BrokerError } from "../../../core/errors.ts";

/** What a name stands for, as Pub/Sub's paths spell it. */
export type Collection = "topics" | "subscriptions";

const NAME = /^(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/;
const PATH = /^projects\/[A-Za-z0-9.:-]+\/(topics|subscriptions)\/([^/]+)$/;
const RULE = "3 to 255 letters, digits or -_.~+%, the first a letter, not beginning with goog; or projects/<project>/";

/** Refuses what is neither a name nor a full path of the collection. Throws BrokerError `refused`. */
export function checkName(collection: Collection, name: string): void {
  const path = PATH.exec(name);
  if (NAME.test(path ? (path[2] as string) : name) && (!path || path[1] === collection)) return;
  const what = `naming one of the ${collection} ${JSON.stringify(name.slice(0, 80))}`;
  throw new BrokerError("refused", `${what}: not a name; use ${RULE}${collection}/<name>`);
}

/** Whether the name says its project itself. */
export function isPath(name: string): boolean {
  return name.startsWith("projects/");
}

/** The full path of a checked name. */
export async function pathOf(collection: Collection, name: string, projectId: () => Promise<string>): Promise<string> {
  return isPath(name) ? name : `projects/${await projectId()}/${collection}/${name}`;
}
