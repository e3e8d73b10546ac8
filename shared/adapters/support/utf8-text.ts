import { isUtf8 } from "node:buffer";

/** Up to this length a loop over the bytes beats the call into native code. */
const SHORT_TEXT_BYTES = 24;

/** The text whose UTF-8 `bytes` are; undefined where they are none. */
export function utf8Text(bytes: Buffer): string | undefined {
  const { length } = bytes;
  if (length <= SHORT_TEXT_BYTES) {
    let i = 0;
    while (i < length && (bytes[i] as number) <= 0x7f) i++;
    if (i === length) return bytes.toString("latin1");
  }
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}
