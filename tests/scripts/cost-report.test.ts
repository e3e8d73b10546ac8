import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

describe("npm run cost", () => {
  const run = (...args: string[]) => spawnSync(process.execPath, ["scripts/cost.ts", ...args], { encoding: "utf8" });

  it("prints totals that are the sums of their parts", () => {
    const { stdout, status } = run("--rate=1000");
    expect(status).toBe(0);
    const lines = stdout.split("\n");
    const total = lines.findIndex((line) => line.startsWith("total"));
    const cells = (line: string) =>
      line
        .slice(34)
        .match(/.{11}/g)
        ?.map((cell) => Number(cell.replace(/[^\d.]/g, "") || 0)) ?? [];
    const parts = lines.slice(3, total).map(cells);
    cells(lines[total] as string).forEach((sum, way) => {
      expect(parts.reduce((all, part) => all + (part[way] as number), 0)).toBeCloseTo(sum, 1);
    });
  });

  it.each(["--rate=0", "--rate=", "--rate=many", "--speed=1"])("refuses %s and says how it is used", (argument) => {
    const { status, stderr } = run(argument);
    expect(status).toBe(2);
    expect(stderr).toContain("usage: npm run cost");
  });
});
