import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import type { BlockBlobClient, BlockBlobCommitBlockListOptions } from "@azure/storage-blob";
import type { PutOptions, PutResult } from "../../../core/ports/object-store.ts";
import { blocksOf, chunksOf, sizeOf } from "./blocks.ts";
import type { Call } from "./calls.ts";
import { failureOf, foreignAnswer, tellsThatItExists } from "./errors.ts";
import { encodeMetadata } from "./metadata.ts";

/** Up to this an object is written by one request. */
const SINGLE_BYTES = 16 * 1024 * 1024;
const BLOCK_BYTES = 8 * 1024 * 1024;
const BLOCKS_AT_ONCE = 4;
const WRITER_BYTES = 16;

const ANY_TYPE = "application/octet-stream";
/** A media type that can stand in a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ !-~]*)?$/;

type Pieces = readonly Uint8Array[];

/**
 * Creates an object, by one request or, where it is large, by blocks that become the object all at once. The server compares the bytes with
 * their hashes before it takes them. Throws what the SDK throws, and Error where the answer does not tell of this object.
 */
export async function writeObject(blob: BlockBlobClient, call: Call, pieces: Pieces, options: PutOptions): Promise<PutResult> {
  const md5 = md5Of(pieces);
  const conditions: BlockBlobCommitBlockListOptions = {
    conditions: { ifNoneMatch: "*" },
    blobHTTPHeaders: {
      blobContentType: MEDIA_TYPE.test(options.contentType) ? options.contentType : ANY_TYPE,
      blobContentMD5: md5,
    },
    metadata: encodeMetadata(options.metadata ?? {}),
  };
  try {
    if (sizeOf(pieces) <= SINGLE_BYTES) await writeAtOnce(blob, call, pieces, conditions, md5);
    else await writeByBlocks(blob, call, pieces, conditions);
    return "created";
  } catch (error) {
    if (tellsThatItExists(error)) return "existed";
    throw error;
  }
}

async function writeAtOnce(
  blob: BlockBlobClient,
  call: Call,
  pieces: Pieces,
  conditions: BlockBlobCommitBlockListOptions,
  transactionalContentMD5: Buffer,
): Promise<void> {
  const answer = await call((moving) =>
    blob.upload(() => streamOf(pieces), sizeOf(pieces), { ...conditions, ...moving, transactionalContentMD5 }),
  );
  checkConfirmed(answer);
}

/** The blocks of writers of the same key lie side by side until one of them makes the object of its own, which drops all others. */
async function writeByBlocks(
  blob: BlockBlobClient,
  call: Call,
  pieces: Pieces,
  conditions: BlockBlobCommitBlockListOptions,
): Promise<void> {
  const writer = randomBytes(WRITER_BYTES);
  const ids: string[] = [];
  const blocks = blocksOf(pieces, BLOCK_BYTES);
  const stage = async () => {
    // Shared: a loop that fails ends the others' too.
    for (const block of blocks) {
      const id = blockId(writer, ids.length);
      ids.push(id);
      const transactionalContentMD5 = md5Of(block);
      await call((moving) => blob.stageBlock(id, () => streamOf(block), sizeOf(block), { ...moving, transactionalContentMD5 }));
    }
  };
  await Promise.all(Array.from({ length: BLOCKS_AT_ONCE }, stage));
  try {
    checkConfirmed(await call(({ abortSignal }) => blob.commitBlockList(ids, { ...conditions, abortSignal })));
  } catch (error) {
    const areDropped = failureOf(error).code === "InvalidBlockList";
    if (areDropped && (await call(({ abortSignal }) => blob.exists({ abortSignal })))) {
      throw Object.assign(new Error("another writer was first"), { code: "BlobAlreadyExists" });
    }
    throw error;
  }
}

/** All ids of a blob's blocks must be of one length. */
function blockId(writer: Buffer, index: number): string {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(index);
  return Buffer.concat([writer, number]).toString("base64");
}

/** A message is settled on the word of this answer: any other that is no failure, as of a sign-in page, must not pass for it. */
function checkConfirmed({ etag, requestId }: { etag?: string; requestId?: string }): void {
  if (!etag || !requestId) throw foreignAnswer("it confirmed no such object");
}

/** In chunks, so that progress is seen. */
function streamOf(pieces: Pieces): Readable {
  return Readable.from(chunksOf(pieces));
}

function md5Of(pieces: Pieces): Buffer {
  const hash = createHash("md5");
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}
