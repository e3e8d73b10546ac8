import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const ALLOWED_IN_CORE = /^(\.{1,2}\/|node:crypto$|node:zlib$|node:util$|avsc$|zod$)/;
const CLOCKS = /\bDate\.now\(|\bnew Date\(\)|\bperformance\.|\bsetTimeout\(|\bsetInterval\(|\bMath\.random\(|\brandomUUID\(|\bprocess\./;

function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

const importsOf = (text: string) =>
  [...text.matchAll(/(?:^|[^.\w])(?:from\s+|import\s*\(?\s*)"([^"]+)"/g)].map((match) => match[1] as string);

describe("the layers", () => {
  it.each(files("shared/core"))("%s imports nothing but core and pure libraries, and reads no clock, chance or environment", (file) => {
    const text = readFileSync(file, "utf8");
    for (const name of importsOf(text)) {
      expect(name).toMatch(ALLOWED_IN_CORE);
      expect(name).not.toMatch(/adapters|runtime|functions\//);
    }
    expect(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$|"[^"\n]*"/gm, "")).not.toMatch(CLOCKS);
  });

  it.each(files("functions"))("%s is a thin entry of at most 45 lines", (file) => {
    expect(readFileSync(file, "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(45);
  });

  it.each(files("shared/adapters"))("%s is independent of the runtime and of the functions", (file) => {
    for (const name of importsOf(readFileSync(file, "utf8"))) expect(name).not.toMatch(/runtime\/|functions\//);
  });
});
