import { InvalidInput } from "../../../core/errors.ts";
import { guidOf } from "./lock-token.ts";
import { messageOf, type Origin, type Received } from "./message.ts";

/** A message that a function app was given, and by what it is settled. */
export interface Bound extends Received {
  /** As a GUID in text. */
  lockToken: string;
}

const TOKEN_BYTES = 16;
/** Every section of a message begins with it. */
const DESCRIBED = 0x00;
/** Microsoft's own reader takes the message from behind this name. */
const MARK = Buffer.from("x-opt-lock-token");

/**
 * Reads the content of a model binding data, version 1.0: the lock token as .NET writes a Guid, then the encoded message
 * (https://github.com/Azure/azure-sdk-for-net, ServiceBusExtensionConfigProvider.ConvertReceivedMessageToBindingData). Throws InvalidInput.
 */
export function decodeBinding(content: Buffer, origin: Origin): Bound {
  const isMarked = content.indexOf(MARK, TOKEN_BYTES) === TOKEN_BYTES;
  const messageAt = TOKEN_BYTES + (isMarked ? MARK.length : 0);
  if (content[messageAt] !== DESCRIBED) {
    throw new InvalidInput(
      "reading a message of the Service Bus trigger: no lock token with a message behind it, as version 1.0 of its binding data has",
    );
  }
  const lockToken = guidOf(content.toString("hex", 0, TOKEN_BYTES));
  return { ...messageOf(content.subarray(messageAt), origin), lockToken };
}
