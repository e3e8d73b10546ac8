import type { TriggerInput } from "../executor.ts";
import { manyPayloads, onePayload, type PayloadForm, withPayloadProperties } from "../payload.ts";
import type { Capabilities } from "../rpc.ts";
import { batchMetadataOf, metadataOf } from "./metadata.ts";
import { bindingDataOf, type ReceivedMessage } from "./received.ts";

/** How the trigger is bound: `sdk`, or a form of the payload alone. */
export type ServiceBusForm = PayloadForm | "sdk";

/** Of one message. Throws where its body cannot have the form. */
export function inputOf(message: ReceivedMessage, form: ServiceBusForm): TriggerInput {
  if (form === "sdk") return { data: { modelBindingData: bindingDataOf(message) }, metadata: metadataOf(message) };
  const data = onePayload(form, bodyOf(message, form));
  return { data, metadata: withPayloadProperties(metadataOf(message), data) };
}

/** Of a batch. Throws where the body of one message cannot have the form: the whole batch fails then. */
export function batchInputOf(messages: readonly ReceivedMessage[], form: ServiceBusForm, capabilities: Capabilities): TriggerInput {
  const metadata = batchMetadataOf(messages, capabilities);
  if (form === "sdk") return { data: { collectionModelBindingData: { modelBindingData: messages.map(bindingDataOf) } }, metadata };
  const bodies = messages.map((message) => bodyOf(message, form));
  return { data: manyPayloads(form, bodies, capabilities), metadata };
}

/** A text in an AMQP value counts as a body, but where bytes are asked for (MessageToStringConverter, MessageToByteArrayConverter). */
function bodyOf({ decoded: { body } }: ReceivedMessage, form: PayloadForm): Uint8Array {
  if (body.kind === "data") return body.bytes;
  if (body.kind === "value" && typeof body.value === "string" && form !== "binary") return Buffer.from(body.value);
  throw new Error(`The body of the message is of kind '${body.kind}', which cannot be bound as ${form === "none" ? "JSON" : form}.`);
}
