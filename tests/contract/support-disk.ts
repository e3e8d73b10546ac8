import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";

/** Makes `folder` a file system of its own of a few megabytes; returns how to unmount it, or undefined where the machine lets us mount none. */
export function mountSmallDisk(folder: string, megabytes: number): (() => void) | undefined {
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  return () => {
    execFileSync("umount", [folder], { stdio: "ignore" });
  };
}
