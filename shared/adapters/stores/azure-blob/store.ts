import { StoreError, Unsupported } from "../../../core/errors.ts";
import type { ObjectEntry, ObjectStore, PutOptions } from "../../../core/ports/object-store.ts";
import { checkRange } from "../../support/byte-range.ts";
import { keyFault, keyInvalid } from "../../support/object-key.ts";
import { asStoreErrors, callsWithin } from "./calls.ts";
import type { OpenedContainer } from "./client.ts";
import { failureOf } from "./errors.ts";
import { readPage } from "./list-page.ts";
import { listObjects } from "./listing.ts";
import { METADATA_BYTES, metadataSize } from "./metadata.ts";
import { blobNameOf, nameFault } from "./names.ts";
import { readObject } from "./reading.ts";
import { writeObject } from "./writing.ts";

const DEFAULT_IDLE_TIMEOUT_MS = 20_000;
const NOT_FOUND = 404;

/** The store on a container. `idleTimeoutMs`: how long a request may move no byte, default 20,000. */
export function azureBlobStore({ container, close }: OpenedContainer, idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS): ObjectStore {
  const call = callsWithin(idleTimeoutMs);
  const name = container.containerName;
  const askWhetherThere = () => call((moving) => readPage(container, moving, { prefix: "", maxEntries: 1 }));
  return {
    limits: { metadataBytes: METADATA_BYTES },
    async put(key, bytes, options) {
      checkKey(key);
      checkMetadata(key, options);
      const blob = container.getBlockBlobClient(blobNameOf(key));
      return asStoreErrors(`writing object ${key} to container ${name}`, () => writeObject(blob, call, bytes, options));
    },
    async get(key, range) {
      checkKey(key);
      checkRange(key, range);
      const blob = container.getBlockBlobClient(blobNameOf(key));
      return asStoreErrors(`reading object ${key} of container ${name}`, async () => {
        try {
          return await call((moving) => readObject(blob, moving, key, range));
        } catch (error) {
          throw (await isObjectMissing(error, askWhetherThere)) ? missing(key) : error;
        }
      });
    },
    list(prefix, after = ""): AsyncIterable<ObjectEntry> {
      const doing = `listing objects under ${JSON.stringify(prefix)} of container ${name}`;
      return listObjects((query) => asStoreErrors(doing, () => call((moving) => readPage(container, moving, query))), prefix, after);
    },
    async close() {
      close();
    },
  };
}

function checkKey(key: string): void {
  const fault = keyFault(key) ?? nameFault(key);
  if (fault) throw keyInvalid(key, fault);
}

function checkMetadata(key: string, { metadata = {} }: PutOptions): void {
  const size = metadataSize(metadata);
  if (size <= METADATA_BYTES) return;
  throw new Unsupported(
    `writing object ${key} with ${size} bytes of metadata: it holds ${METADATA_BYTES}; store it as an object of its own`,
  );
}

/**
 * Whether an error tells that the object is missing, and not its container or the server: what is missing is given up, so a 404 that does
 * not say which is settled by asking for the container.
 */
async function isObjectMissing(error: unknown, askWhetherThere: () => Promise<unknown>): Promise<boolean> {
  const { status, code } = failureOf(error);
  if (status !== NOT_FOUND || code === "ContainerNotFound") return false;
  if (code !== "BlobNotFound") await askWhetherThere();
  return true;
}

function missing(key: string): StoreError {
  return new StoreError("object_missing", `reading object ${key}: it does not exist; restore it, or leave its messages out`);
}
