import { type Attribute, type MessageContent, stringAttribute } from "../../../core/message.ts";
import { PROPERTY_FIELDS } from "./sections.ts";

const PROPERTY_NAMES: ReadonlySet<string> = new Set(PROPERTY_FIELDS);
const PREFIX_LENGTH = "amqp:".length;

/**
 * For brokers that have no properties beside their attributes: those of AMQP that are text (message id, correlation id, subject, reply-to …) become
 * attributes under AMQP's own names, unless there is one of that name; the rest stays as it is.
 */
export function propertiesAsAttributes<T extends Pick<MessageContent, "attributes" | "system">>(content: T): T {
  if (content.system.length === 0) return content;
  const taken = new Set(content.attributes.map(({ name }) => name.toLowerCase()));
  const moved: Attribute[] = [];
  const system = content.system.filter(({ name, kind, value }) => {
    const plain = name.slice(PREFIX_LENGTH);
    if (kind !== "string" || !PROPERTY_NAMES.has(name) || taken.has(plain)) return true;
    taken.add(plain);
    moved.push(stringAttribute(plain, value as string));
    return false;
  });
  return moved.length === 0 ? content : { ...content, attributes: [...content.attributes, ...moved], system };
}
