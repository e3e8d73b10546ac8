const CHUNK_BYTES = 256 * 1024;

/** Bytes of all pieces together. */
export function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** The bytes of `pieces` in their order, in parts of at most 256 KiB that share their memory; none is empty. */
export function* chunksOf(pieces: readonly Uint8Array[], chunkBytes = CHUNK_BYTES): Generator<Uint8Array> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += chunkBytes) yield piece.subarray(at, at + chunkBytes);
  }
}

/** The bytes of `pieces` in their order, in blocks of `blockBytes`, the last one shorter; each is a list of parts that share their memory. */
export function* blocksOf(pieces: readonly Uint8Array[], blockBytes: number): Generator<Uint8Array[]> {
  let block: Uint8Array[] = [];
  let room = blockBytes;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + room);
      block.push(part);
      at += part.length;
      room -= part.length;
      if (room > 0) continue;
      yield block;
      block = [];
      room = blockBytes;
    }
  }
  if (block.length > 0) yield block;
}
