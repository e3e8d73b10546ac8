import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAuthorize } from "../../shared/runtime/auth/authorize.ts";
import { fitsGlob } from "../../shared/runtime/auth/glob.ts";
import { newApiKey } from "../../shared/runtime/auth/keys.ts";
import { authSchema, OPEN_AUTH } from "../../shared/runtime/auth/settings.ts";
import { HttpError } from "../../shared/runtime/http/problem.ts";

const reader = newApiKey("reader");
const operator = newApiKey("operator");
const settings = authSchema.parse({
  mode: "required",
  apiKeys: [
    { id: "reader", sha256: reader.sha256, grants: { read: ["orders", "flight*"], publish: ["replay-*"] } },
    { id: "operator", sha256: operator.sha256, grants: { admin: true } },
  ],
});
const authorize = createAuthorize(settings);
const showing = (headers: Record<string, string>) => (name: string) => headers[name];

function refusal(headers: Record<string, string>): HttpError {
  try {
    authorize(showing(headers));
  } catch (error) {
    if (error instanceof HttpError) return error;
  }
  throw new Error("the caller was let in");
}

describe("authorization by keys", () => {
  it("tells callers by their key, in either header", () => {
    const shown: Record<string, string>[] = [
      { authorization: `Bearer ${reader.key}` },
      { authorization: `bearer  ${reader.key}` },
      { "x-api-key": reader.key },
    ];
    for (const headers of shown) {
      const caller = authorize(showing(headers));
      expect(caller.id).toBe("reader");
      expect(["orders", "flights", "flight", "ordersx", "x"].map(caller.canRead)).toEqual([true, true, true, false, false]);
      expect(["replay-a", "replay", "orders"].map(caller.canPublish)).toEqual([true, false, false]);
      expect(caller.admin).toBe(false);
    }
    expect(authorize(showing({ "x-api-key": operator.key }))).toMatchObject({ id: "operator", admin: true });
    expect(authorize(showing({ "x-api-key": operator.key })).canRead("orders")).toBe(false);
  });

  it.each([
    ["no key", {}],
    ["another key", { authorization: `Bearer ${newApiKey("reader").key}` }],
    ["a key cut short", { authorization: `Bearer ${reader.key.slice(0, -1)}` }],
    ["the key's hash", { authorization: `Bearer ${reader.sha256}` }],
    ["another scheme", { authorization: `Basic ${reader.key}` }],
    ["two keys", { authorization: `Bearer ${reader.key}`, "x-api-key": operator.key }],
  ])("refuses %s with 401 and a challenge", (_, headers) => {
    const error = refusal(headers as Record<string, string>);
    expect(error.status).toBe(401);
    expect(error.headers["www-authenticate"]).toMatch(/^Bearer realm="persistor"/);
  });

  it("lets everyone do everything where the mode is open", () => {
    const caller = createAuthorize(OPEN_AUTH)(showing({}));
    expect([caller.id, caller.admin, caller.canRead("x"), caller.canPublish("y")]).toEqual(["anonymous", true, true, true]);
  });

  it("refuses settings with unknown fields, hashes that are none, and ids or keys that stand twice", () => {
    const entry = { id: "a", sha256: reader.sha256 };
    for (const apiKeys of [
      [{ ...entry, key: "x" }],
      [{ ...entry, sha256: "x" }],
      [entry, { ...entry, id: "b" }],
      [entry, { ...entry, sha256: operator.sha256 }],
    ]) {
      expect(authSchema.safeParse({ mode: "required", apiKeys }).success).toBe(false);
    }
    expect(authSchema.parse({ mode: "required", apiKeys: [entry] }).apiKeys[0]?.grants).toEqual({ read: [], publish: [], admin: false });
  });
});

describe("a glob", () => {
  it("fits what the same pattern as a regular expression fits", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "*", "."), maxLength: 8 });
    fc.assert(
      fc.property(text, text, (glob, name) => {
        const pattern = new RegExp(`^${glob.split("*").map(RegExp.escape).join(".*")}$`, "s");
        expect(fitsGlob(glob, name)).toBe(pattern.test(name));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("npm run api-key", () => {
  const script = join(import.meta.dirname, "../../scripts/api-key.ts");
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [script, ...args]);

  it("prints a key once, and an entry for the settings that lets it in", async () => {
    const { stdout } = await run("ci", "--read=orders,flight*", "--publish=replay", "--admin");
    const key = /psk_ci_[A-Za-z0-9_-]{43}/.exec(stdout)?.[0] as string;
    const entry = JSON.parse(/\{.*\}/.exec(stdout)?.[0] as string);
    expect(entry).toMatchObject({ id: "ci", grants: { read: ["orders", "flight*"], publish: ["replay"], admin: true } });
    expect(stdout.split(key)).toHaveLength(2);
    const caller = createAuthorize(authSchema.parse({ mode: "required", apiKeys: [entry] }))(showing({ "x-api-key": key }));
    expect(caller.canRead("flights")).toBe(true);
  });

  it.each([[[]], [["a b"]], [["a", "b"]], [["a", "--all"]]])("refuses the arguments %j and says how it is used", async (args) => {
    await expect(run(...args)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("usage:") });
  });
});
