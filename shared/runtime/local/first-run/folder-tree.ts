import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { TEMP_FOLDER } from "../../../adapters/stores/fs/keys.ts";

interface Folder {
  name: string;
  folders: Folder[];
  objects: number;
  bytes: number;
}

export interface TreeSummary {
  objects: number;
  bytes: number;
  lines: string[];
}

const FOLDERS_SHOWN = 6;

/** Counts the objects below a folder and draws its tree: chains of single folders in one line, long lists cut. */
export async function folderTree(root: string): Promise<TreeSummary> {
  const folder = await readFolder(root, root);
  const lines = [folder.name];
  draw(folder.folders, "", lines);
  return { objects: folder.objects, bytes: folder.bytes, lines };
}

async function readFolder(path: string, name: string): Promise<Folder> {
  const folder: Folder = { name, folders: [], objects: 0, bytes: 0 };
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.name === TEMP_FOLDER) continue;
    const below = join(path, entry.name);
    if (entry.isDirectory()) {
      const child = await readFolder(below, entry.name);
      folder.folders.push(child);
      folder.objects += child.objects;
      folder.bytes += child.bytes;
    } else {
      folder.objects++;
      folder.bytes += (await stat(below)).size;
    }
  }
  folder.folders.sort((a, b) => (a.name < b.name ? -1 : 1));
  return folder;
}

function draw(folders: readonly Folder[], indent: string, lines: string[]): void {
  const shown = folders.length > FOLDERS_SHOWN + 1 ? folders.slice(0, FOLDERS_SHOWN) : folders;
  const hidden = folders.slice(shown.length);
  shown.forEach((folder, i) => {
    const isLast = i === shown.length - 1 && hidden.length === 0;
    const { label, end } = chain(folder);
    lines.push(`${indent}${isLast ? "└─ " : "├─ "}${label}/  ${countText(end.objects, end.bytes)}`);
    draw(end.folders, `${indent}${isLast ? "   " : "│  "}`, lines);
  });
  if (hidden.length > 0) {
    const objects = hidden.reduce((sum, folder) => sum + folder.objects, 0);
    const bytes = hidden.reduce((sum, folder) => sum + folder.bytes, 0);
    lines.push(`${indent}└─ … ${hidden.length} more folders  ${countText(objects, bytes)}`);
  }
}

/** Follows folders that hold nothing but one folder. */
function chain(folder: Folder): { label: string; end: Folder } {
  let end = folder;
  let label = folder.name;
  while (end.folders.length === 1 && end.objects === end.folders[0]?.objects) {
    end = end.folders[0];
    label += `/${end.name}`;
  }
  return { label, end };
}

function countText(objects: number, bytes: number): string {
  return `(${objects} ${objects === 1 ? "object" : "objects"}, ${bytesText(bytes)})`;
}

const KIB = 1024;

/** A number of bytes for people: `31 KB`, `1.2 MB`. */
export function bytesText(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`;
  if (bytes < KIB * KIB) return `${Math.round(bytes / KIB)} KB`;
  return `${(bytes / KIB / KIB).toFixed(1)} MB`;
}
