import { bytesArrayOf, jsonOf, reparsed, type Typed, textOf, textsOf, toJson } from "./dotnet.ts";
import type { Capabilities } from "./rpc.ts";

/** How a trigger's payloads come: what the host's GeneralScriptBindingProvider asks its extension for. */
export type PayloadForm = "binary" | "string" | "none";

export const payloadForm = (dataType: string | undefined): PayloadForm =>
  dataType === "binary" || dataType === "string" ? dataType : "none";

/** UTF-8; what is none becomes U+FFFD. */
export const lossyText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

/**
 * A payload as JSON.NET's JObject, read from strict UTF-8. Throws where it is anything but a JSON object, `null` or nothing
 * (azure-sdk-for-net MessageToPocoConverter).
 */
function jsonObjectOf(bytes: Uint8Array): unknown {
  const value = parsedOf(bytes);
  if (typeof value === "object" && !Array.isArray(value)) return value;
  throw new Error("Binding parameters to complex objects (such as 'JObject') uses Json.NET serialization: the payload is no JSON object.");
}

/** Undefined where it is no JSON. */
function parsedOf(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.trim() === "" ? null : reparsed(text);
  } catch {
    return undefined;
  }
}

/** Payloads of a batch, in the form that was asked for; `texts` where the extension makes texts in a way of its own. */
export function manyPayloads(form: PayloadForm, payloads: readonly Uint8Array[], capabilities: Capabilities): Typed {
  if (form === "binary") return bytesArrayOf(payloads);
  if (form === "string") return textsOf(payloads.map(lossyText), capabilities);
  return { json: toJson(payloads.map(jsonObjectOf)) };
}

/** One payload; without a data type it is a text. */
export const onePayload = (form: PayloadForm, payload: Uint8Array): Typed =>
  form === "binary" ? { bytes: payload } : textOf(lossyText(payload));

/**
 * Where a single payload is a text that holds a JSON object, its properties but arrays and nulls become metadata, and take the place of what
 * has their name in any case (azure-functions-host Utility.ApplyBindingData).
 */
export function withPayloadProperties(metadata: Record<string, Typed>, data: Typed): Record<string, Typed> {
  const parsed = objectIn(data?.string);
  if (!parsed) return metadata;
  const result = { ...metadata };
  for (const [name, value] of Object.entries(parsed)) {
    if (value === null || Array.isArray(value)) continue;
    const known = Object.keys(result).find((key) => key.toLowerCase() === name.toLowerCase()) ?? name;
    result[known] = typeof value === "object" ? jsonOf(value) : textOf(String(value));
  }
  return result;
}

function objectIn(text: string | undefined): Record<string, unknown> | undefined {
  if (!text?.trim().startsWith("{")) return undefined;
  try {
    return reparsed(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
