import rhea from "rhea";
import { sectionAt } from "./reading.ts";
import { SECTION } from "./sections.ts";
import { endOfValue } from "./types.ts";

/*
 * Both SDKs of Azure decode a message into JavaScript values, in which a float, an int and a long are one, a symbol is text, and a number of 64 bits
 * is rounded or a Buffer. What travels must stay exact, so the encoded bytes of each message are kept beside the decoded one, and messages
 * that are sent are given encoded. Both hang on one function of rhea, the SDKs' AMQP library. It also refuses messages that brokers take as they are, and
 * ends the connection at them, again and again: no message behind one would ever come.
 */

type Decode = (bytes: Buffer) => { message_annotations?: object };
type Encode = (message: { application_properties?: object }) => Buffer;
const codec = rhea.message as unknown as { decode: Decode; encode: Encode };

/** By the annotations of the decoded message, which the SDKs hand on as they are. */
const received = new WeakMap<object, Buffer>();
const sent = new WeakMap<object, Buffer>();
let isKept = false;

/** Has rhea keep the bytes of what it decodes from now on; once for the process. */
export function keepRawMessages(): void {
  if (isKept) return;
  isKept = true;
  const { decode, encode } = codec;
  codec.decode = (bytes) => {
    const message = decodeOr(decode, bytes);
    if (message.message_annotations) received.set(message.message_annotations, bytes);
    return message;
  };
  codec.encode = (message) => (message.application_properties && sent.get(message.application_properties)) ?? encode(message);
}

/** What rhea cannot read is told by its annotations alone, which the broker wrote. */
function decodeOr(decode: Decode, bytes: Buffer): ReturnType<Decode> {
  try {
    return decode(bytes);
  } catch (error) {
    const annotations = annotationsOf(bytes);
    if (annotations === undefined) throw error;
    return decode(annotations);
  }
}

/** The section with the annotations of a message, encoded; undefined where none is found. */
function annotationsOf(bytes: Buffer): Buffer | undefined {
  try {
    for (let at = 0; at < bytes.length; ) {
      const { code, valueAt } = sectionAt(bytes, at);
      const end = endOfValue(bytes, valueAt);
      if (code === SECTION.messageAnnotations) return bytes.subarray(at, end);
      at = end;
    }
  } catch {
    // It has no sections.
  }
  return undefined;
}

/** The bytes of a message that was received since `keepRawMessages`, by its annotations as the SDK hands them over; undefined where they are not known. */
export function rawMessageOf(annotations: object | undefined): Buffer | undefined {
  return annotations && received.get(annotations);
}

/** Application properties for a message of the SDKs that stand for the whole message: it is sent as these bytes. */
export function propertiesStandingFor(encoded: Buffer): Record<string, never> {
  const properties = {};
  sent.set(properties, encoded);
  return properties;
}
