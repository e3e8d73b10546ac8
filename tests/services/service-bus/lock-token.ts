import { randomBytes } from "node:crypto";

/*
 * A lock token is a GUID. As the tag of a delivery it has .NET's order of bytes, in management requests that of RFC 4122. Here tokens are
 * kept as tags, and named in maps by the text of their bytes.
 */

export const freshTag = (): Buffer => randomBytes(16);
export const keyOfTag = (tag: Buffer): string => tag.toString("latin1");
export const keyOfUuid = (uuid: Buffer): string => keyOfTag(swapped(uuid));
export const uuidOfTag = (tag: Buffer): Buffer => swapped(tag);

const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

const swapped = (bytes: Buffer): Buffer => Buffer.from(ORDER.map((from) => bytes[from] as number));
