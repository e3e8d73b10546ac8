import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";

/** Folders remembered as being on the disk; past it all are forgotten and looked at again. */
const MAX_REMEMBERED = 20_000;

/** Makes folders such that they survive a power failure. */
export interface DurableFolders {
  /** Makes `folder` under the root, with what lies between; resolves when every entry on the way is on the disk. */
  make(folder: string): Promise<void>;
  /** Forces a folder's entries to the disk. */
  sync(folder: string): Promise<void>;
  /** To be called when a folder turns out to be gone. */
  forget(): void;
}

export function durableFolders(root: string): DurableFolders {
  const known = new Set<string>();
  return {
    async make(folder) {
      if (known.has(folder)) return;
      await mkdir(folder, { recursive: true });
      // Every folder up to the root, since one made by another call or process may not be on the disk yet.
      for (let child = folder; child !== root; child = dirname(child)) {
        if (!known.has(child)) await syncFolder(dirname(child));
      }
      if (known.size >= MAX_REMEMBERED) known.clear();
      known.add(folder);
    },
    sync: syncFolder,
    forget: () => known.clear(),
  };
}

/** Makes the store's own folder such that it survives a power failure. */
export async function makeRoot(root: string): Promise<void> {
  const topmost = await mkdir(root, { recursive: true });
  if (topmost === undefined) return;
  for (let child = root; child !== dirname(topmost); child = dirname(child)) await syncFolder(dirname(child));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
