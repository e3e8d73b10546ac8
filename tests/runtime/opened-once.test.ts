import { expect, it } from "vitest";
import { openedOnce } from "../../shared/runtime/opened-once.ts";

it("opens once for each key, however many ask at the same time", async () => {
  let opened = 0;
  const open = openedOnce(async (name: string) => `${name} ${++opened}`);
  expect(await Promise.all([open("a"), open("a"), open("b")])).toEqual(["a 1", "a 1", "b 2"]);
  expect(await open("a")).toBe("a 1");
});

it("forgets an opening that failed, so that the next call tries again", async () => {
  let attempts = 0;
  const open = openedOnce(async () => {
    if (++attempts < 3) throw new Error(`attempt ${attempts}`);
    return "open";
  });
  await expect(Promise.all([open(), open()])).rejects.toThrow("attempt 1");
  await expect(open()).rejects.toThrow("attempt 2");
  expect(await open()).toBe("open");
});
