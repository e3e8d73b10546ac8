// Apart, so that reading the settings does not load the client.

/** How the records of a batch are compressed; the position is the number in the batch's attributes. */
export const COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Compression = (typeof COMPRESSIONS)[number];
