import { errorText, StoreError } from "../../../core/errors.ts";

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free space, the call may be repeated",
  EDQUOT: "the disk quota is used up; free space, the call may be repeated",
  EIO: "the disk failed; look at the system's log, the call may be repeated",
  EMFILE: "too many files are open; raise the limit (ulimit -n), the call may be repeated",
  ENFILE: "too many files are open in the system; the call may be repeated",
  EACCES: "access denied; give the process read and write access to the store's folder",
  EPERM: "not permitted; use a file system with hard links and give the process write access to it",
  EROFS: "the file system is read-only; mount it writable",
};

/** The system's code of an error, such as `ENOSPC`; empty where it has none. */
export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** A fault of the file system as StoreError: `store_unavailable` (retryable), or `key_invalid` where a name is too long for it. */
export function storeErrorOf(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = systemCode(error);
  if (code === "ENAMETOOLONG")
    return new StoreError("key_invalid", `${doing}: the path is too long for the file system; use a shorter key or folder`, {
      cause: error,
    });
  const what = REMEDIES[code] ?? errorText(error);
  return new StoreError("store_unavailable", `${doing}: ${what}`, { retryable: true, cause: error });
}
