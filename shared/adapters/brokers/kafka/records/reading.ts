import { BadBatch } from "./batch.ts";

/** Reads the records of one batch one after the other; what it returns are views into the batch's bytes. */
export class RecordReader {
  readonly #bytes: Buffer;
  #at = 0;
  #end = 0;

  /** `bytes`: the decompressed records of a batch. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Goes to the next record. Throws BadBatch where it is not whole. */
  begin(): void {
    const length = this.int();
    this.#end = this.#at + length;
    if (length < 1 || this.#end > this.#bytes.length) throw new BadBatch(`a record of ${length} bytes reaches beyond its batch`);
    this.#at++;
  }

  /** Ends the record. Throws BadBatch where its parts are longer or shorter than itself. */
  end(): void {
    if (this.#at !== this.#end) throw new BadBatch("a record is longer or shorter than its parts");
  }

  /** Bytes of the record that are not read yet. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** A number of up to 32 bits. */
  int(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let byte = bytes[at++] as number;
    let value = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (shift > 28) throw new BadBatch("a number of a record is longer than 32 bits");
      byte = bytes[at++] as number;
      value |= (byte & 0x7f) << shift;
    }
    this.#at = at;
    return (value >>> 1) ^ -(value & 1);
  }

  /** A number of up to 64 bits; a bigint only where it is a large one. */
  long(): number | bigint {
    const bytes = this.#bytes;
    const at = this.#at;
    // Four bytes at most: nearly always.
    if ((bytes[at + 3] as number) <= 0x7f || (bytes[at + 2] as number) <= 0x7f || (bytes[at + 1] as number) <= 0x7f) return this.int();
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (shift > 63n) throw new BadBatch("a number of a record is longer than 64 bits");
      const byte = bytes[this.#at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte <= 0x7f) break;
    }
    return BigInt.asIntN(64, (BigInt.asUintN(64, value) >> 1n) ^ -(value & 1n));
  }

  /** Bytes behind their length; null where that is negative. Throws BadBatch where they reach beyond the record. */
  bytes(): Buffer | null {
    const length = this.int();
    if (length < 0) return null;
    const from = this.#at;
    this.#at = from + length;
    if (this.#at > this.#end) throw new BadBatch("a part of a record reaches beyond it");
    return this.#bytes.subarray(from, this.#at);
  }
}
