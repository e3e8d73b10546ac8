/** The index: everything in it can be built again from the stored objects, so its commits need not wait for the disk. */
export const INDEX_FILE = "index.db";
/** Jobs and work items: the only home of what they say, so every commit waits for the disk. */
export const JOBS_FILE = "jobs.db";

/** SQLite's page cache of each connection, in KiB. */
export const WRITER_CACHE_KIB = 64 * 1024;
export const READER_CACHE_KIB = 8 * 1024;
export const JOBS_CACHE_KIB = 2 * 1024;

/** Heap of each worker thread, in MiB; SQLite's own memory is not in it. */
export const WORKER_HEAP_MIB = 256;

/** Bytes of a database page. Records and attributes are small, so that larger pages would only be rewritten more often. */
export const PAGE_BYTES = 4096;
/** Pages that the log may hold before they are moved to the database: a page changed often is moved once. */
export const WAL_AUTOCHECKPOINT_PAGES = 32_000;

/** Records that calls waiting for the writer are joined to, in one transaction. A larger call goes alone. */
export const MAX_COMMIT_RECORDS = 20_000;
/** Records turned to JSON, or back, before other events get their turn: a few milliseconds of the event loop. */
export const JSON_SLICE_RECORDS = 1000;

/** Records of a walk read in one go: while the next are read, these are turned to objects. */
export const WALK_RECORDS = 2000;

/** Records of gathered hits given in one go: what is beyond is gathered again, so that the worker's memory does not grow with the hits. */
export const MAX_GATHERED_ROWS = 20_000;

/** How long a connection waits for another process that holds the database, in milliseconds. */
export const BUSY_TIMEOUT_MS = 5000;
