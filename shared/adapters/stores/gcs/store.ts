import type { Bucket, Storage } from "@google-cloud/storage";
import { StoreError, Unsupported } from "../../../core/errors.ts";
import type { ObjectEntry, ObjectStore, PutOptions } from "../../../core/ports/object-store.ts";
import { checkRange } from "../../support/byte-range.ts";
import { keyFault, keyInvalid } from "../../support/object-key.ts";
import { failureOf, storeErrorOf } from "./errors.ts";
import { listObjects, listPage } from "./listing.ts";
import { METADATA_BYTES, metadataSize } from "./metadata.ts";
import { readObject } from "./reading.ts";
import { repeating } from "./repeating.ts";
import { watchRequests } from "./requests.ts";
import { writeObject } from "./writing.ts";

const DEFAULT_IDLE_TIMEOUT_MS = 20_000;
const NOT_FOUND = 404;
/** Object names that Cloud Storage keeps for itself. */
const RESERVED = ".well-known/acme-challenge/";

/** The store on a bucket. `idleTimeoutMs`: how long a request may move no byte, default 20,000. */
export function gcsStore(storage: Storage, bucketName: string, idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS): ObjectStore {
  const bucket = storage.bucket(bucketName);
  const requests = watchRequests(idleTimeoutMs);
  const calling = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await requests.watch(() => repeating(work));
    } catch (error) {
      throw storeErrorOf(error, doing);
    }
  };
  return {
    limits: { metadataBytes: METADATA_BYTES },
    async put(key, bytes, options) {
      checkKey(key);
      checkMetadata(key, options);
      return calling(`writing object ${key} to bucket ${bucketName}`, () => writeObject(bucket, key, bytes, options));
    },
    async get(key, range) {
      checkKey(key);
      checkRange(key, range);
      return calling(`reading object ${key} of bucket ${bucketName}`, async () => {
        try {
          return await readObject(storage, bucketName, key, range);
        } catch (error) {
          throw (await isObjectMissing(error, bucket)) ? missing(key) : error;
        }
      });
    },
    list(prefix, after = ""): AsyncIterable<ObjectEntry> {
      const doing = `listing objects under ${JSON.stringify(prefix)} of bucket ${bucketName}`;
      return listObjects((from, token) => calling(doing, () => listPage(bucket, prefix, from, token)), prefix, after);
    },
    async close() {
      requests.endIdle();
    },
  };
}

function checkKey(key: string): void {
  const fault = keyFault(key) ?? (key.startsWith(RESERVED) ? `names under ${RESERVED} are Cloud Storage's own` : undefined);
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
 * Whether an error tells that the object is missing, and not its bucket or the server: what is missing is given up, so a 404 that does not
 * say which is settled by asking for the bucket.
 */
async function isObjectMissing(error: unknown, bucket: Bucket): Promise<boolean> {
  const { status, reason } = failureOf(error);
  if (status !== NOT_FOUND || reason === "NoSuchBucket") return false;
  if (reason !== "NoSuchKey") await listPage(bucket, "", "", undefined, 1);
  return true;
}

function missing(key: string): StoreError {
  return new StoreError("object_missing", `reading object ${key}: it does not exist; restore it, or leave its messages out`);
}
