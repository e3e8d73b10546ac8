import { type MessageContent, stringAttribute } from "../../../../core/message.ts";
import { propertiesAsAttributes } from "../../../support/amqp/properties-as-attributes.ts";
import { headerFault } from "../records/headers.ts";
import { TIMESTAMP_PROPERTY } from "../records/message.ts";

/** The name under which Kafka's users carry a content type, as CloudEvents' binding to Kafka does. */
const CONTENT_TYPE = "content-type";

/** An ordering key becomes the record key, where there is none, and a content type, and the properties of AMQP that are text, headers. */
export function adapt(foreign: MessageContent): MessageContent {
  const content = propertiesAsAttributes(foreign);
  const { orderingKey, contentType, key, attributes } = content;
  if (orderingKey === "" && contentType === "") return content;
  const becomesKey = orderingKey !== "" && key === null && orderingKey.isWellFormed();
  const becomesHeader = contentType !== "" && attributes.every(({ name }) => name.toLowerCase() !== CONTENT_TYPE);
  return {
    ...content,
    key: becomesKey ? Buffer.from(orderingKey, "utf8") : key,
    orderingKey: becomesKey ? "" : orderingKey,
    attributes: becomesHeader ? [...attributes, stringAttribute(CONTENT_TYPE, contentType)] : attributes,
    contentType: becomesHeader ? "" : contentType,
  };
}

/** Why Kafka cannot carry `content` unaltered, naming the part; undefined where it can. */
export function cannotCarry(content: MessageContent): string | undefined {
  const { payloadKind, attributes, system, orderingKey, contentType } = content;
  if (payloadKind !== "bytes" && payloadKind !== "null") return `Kafka has no payload of kind ${payloadKind}`;
  if (orderingKey !== "") return "Kafka has no ordering key beside the record key";
  if (contentType !== "") return "Kafka has no content type";
  for (const { name } of system) {
    // The time is not part of what is carried: it is kept where the destination asks for it.
    if (name !== TIMESTAMP_PROPERTY) return `Kafka has no system property ${JSON.stringify(name.slice(0, 80))}`;
  }
  for (const attribute of attributes) {
    const fault = headerFault(attribute);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
