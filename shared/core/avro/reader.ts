import { StoreError } from "../errors.ts";
import { decodeBlock, type Frame, readFrame } from "./block.ts";
import { type Codec, decompress, MAX_BLOCK_BYTES } from "./codec.ts";
import { corrupt } from "./corrupt.ts";
import type { BlockDecoder, RecordDefaults } from "./foreign-record.ts";
import { readHeader, SYNC_BYTES } from "./header.ts";
import type { LocatedRecord } from "./location.ts";

/** A part of an object that cannot be read. */
export interface ObjectFault {
  /** Object-wide position of the first record lost; null where an earlier fault hides it. */
  position: number | null;
  /** Where the part starts, in bytes. */
  blockOffset: number;
  /** Records lost; null where that cannot be told. In a truncated object: those of the block that is cut, more may have followed. */
  count: number | null;
  /** `object_corrupt`. */
  error: StoreError;
}

/** The whole blocks of an object, or its damaged parts, in the order of the object. */
export type ObjectPart = { records: LocatedRecord[]; codec: Codec; formatVersion: number } | { fault: ObjectFault };

/**
 * Reads an object block by block: memory holds two decompressed blocks at most, whatever the object's size. Damage costs only the block
 * that it is in: the reader goes on behind the next sync marker. Objects of other writers (see foreign-record.ts) have format version 0.
 * Binary values are slices of their decompressed block, with codec `null` of `bytes` itself.
 * Throws StoreError `object_corrupt` where the header cannot be read.
 */
export async function* readObject(bytes: Buffer, defaults: RecordDefaults): AsyncGenerator<ObjectPart> {
  const { codec, formatVersion, foreignSchema, sync, end } = readHeader(bytes);
  const decode = foreignSchema === null ? decodeBlock : await loadForeignDecoder(foreignSchema, defaults);
  const parts = framesOf(bytes, end, sync);
  const startNext = (): StartedPart | undefined => {
    const part = parts.next().value;
    if (part === undefined || "fault" in part) return part;
    const data = decompress(codec, bytes.subarray(part.frame.dataStart, part.frame.dataEnd));
    // A failure surfaces when the block's turn comes; until then it must not count as unhandled.
    data.catch(() => undefined);
    return { ...part, data };
  };
  let current = startNext();
  while (current !== undefined) {
    const following = startNext();
    yield "fault" in current ? current : await finish(current, decode, codec, formatVersion);
    current = following;
  }
}

/** Loaded only when it is needed: the schema parser would cost every start some 20 ms. */
async function loadForeignDecoder(schemaJson: string, defaults: RecordDefaults): Promise<BlockDecoder> {
  const { foreignDecoder } = await import("./foreign-record.ts");
  return foreignDecoder(schemaJson, defaults);
}

type FoundPart = { frame: Frame; position: number | null } | { fault: ObjectFault };

type StartedPart = { frame: Frame; position: number | null; data: Promise<Buffer> } | { fault: ObjectFault };

async function finish(
  { frame, position, data }: Exclude<StartedPart, { fault: ObjectFault }>,
  decode: BlockDecoder,
  codec: Codec,
  formatVersion: number,
): Promise<ObjectPart> {
  const blockLength = frame.end - frame.offset;
  try {
    const records = decode(await data, frame.count).map((record, blockPosition) => ({
      record,
      location: { position: position === null ? -1 : position + blockPosition, blockOffset: frame.offset, blockLength, blockPosition },
    }));
    return { records, codec, formatVersion };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { fault: { position, blockOffset: frame.offset, count: frame.count, error } };
  }
}

function* framesOf(bytes: Buffer, start: number, sync: Buffer): Generator<FoundPart, undefined> {
  let position: number | null = 0;
  for (let offset = start; offset < bytes.length; ) {
    const frame = frameAt(bytes, offset);
    if (frame !== undefined && isFramed(bytes, frame, sync)) {
      yield { frame, position };
      if (position !== null) position += frame.count;
      offset = frame.end;
      continue;
    }
    const marker = bytes.indexOf(sync, offset);
    yield { fault: frameFault(offset, position, marker < 0, frame) };
    if (marker < 0) return;
    position = null;
    offset = marker + SYNC_BYTES;
  }
}

/**
 * True where the block ends with the sync marker. One that is itself damaged costs nothing as long as the next block stands where the
 * size says.
 */
function isFramed(bytes: Buffer, frame: Frame, sync: Buffer): boolean {
  if (endsWithMarker(bytes, frame, sync)) return true;
  const next = frame.end < bytes.length ? frameAt(bytes, frame.end) : undefined;
  return next !== undefined && endsWithMarker(bytes, next, sync);
}

function endsWithMarker(bytes: Buffer, frame: Frame, sync: Buffer): boolean {
  return frame.end <= bytes.length && sync.compare(bytes, frame.dataEnd, frame.end) === 0;
}

function frameAt(bytes: Buffer, offset: number): Frame | undefined {
  try {
    return readFrame(bytes, offset);
  } catch {
    return undefined;
  }
}

function frameFault(blockOffset: number, position: number | null, isLast: boolean, frame: Frame | undefined): ObjectFault {
  const count = isLast && frame !== undefined && frame.count <= MAX_BLOCK_BYTES ? frame.count : null;
  const what = isLast ? "the object is cut off or damaged" : "the object is damaged";
  return { position, blockOffset, count, error: corrupt(`${what} from byte ${blockOffset} on`) };
}
