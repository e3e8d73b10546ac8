/*
 * Sections of an AMQP 1.0 message, and the names by which their fields are system properties.
 * http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html
 */

/** Codes of the sections' descriptors. */
export const SECTION = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  sequence: 0x76,
  value: 0x77,
  footer: 0x78,
} as const;

const PREFIX = "amqp:";

/** Fields of the header by position; the delivery count is the broker's. */
export const HEADER_FIELDS = ["amqp:durable", "amqp:priority", "amqp:ttl", "amqp:first-acquirer"] as const;
export const DELIVERY_COUNT_POSITION = 4;

/** Fields of the properties by position. */
export const PROPERTY_FIELDS = [
  "amqp:message-id",
  "amqp:user-id",
  "amqp:to",
  "amqp:subject",
  "amqp:reply-to",
  "amqp:correlation-id",
  "amqp:content-type",
  "amqp:content-encoding",
  "amqp:absolute-expiry-time",
  "amqp:creation-time",
  "amqp:group-id",
  "amqp:group-sequence",
  "amqp:reply-to-group-id",
] as const;
export const MESSAGE_ID = "amqp:message-id";
export const CONTENT_TYPE = "amqp:content-type";
export const GROUP_ID = "amqp:group-id";

/** Before the name of a message annotation. */
export const ANNOTATION_PREFIX = `${PREFIX}annotation:`;
export const PARTITION_KEY_ANNOTATION = "x-opt-partition-key";

/** Lengths of the data sections (32 bits each, big-endian) of a body that has several, whose payload is what they hold together. */
export const DATA_LENGTHS = "amqp:data-lengths";
/** The map of the footer, as it is on the wire. */
export const FOOTER = "amqp:footer";
/** Stands beside the bytes of a message that cannot be taken apart, and says why. */
export const UNREADABLE = "amqp:unreadable";

/** Which part of a message keeps its order: Service Bus's session id or Event Hubs' partition key. */
export type OrderingPart = "group-id" | "partition-key";
