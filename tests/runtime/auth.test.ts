import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import type { JWTPayload } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Caller, createAuthorize } from "../../shared/runtime/auth/authorize.ts";
import { fitsGlob } from "../../shared/runtime/auth/glob.ts";
import { newApiKey } from "../../shared/runtime/auth/keys.ts";
import { authSchema, OPEN_AUTH } from "../../shared/runtime/auth/settings.ts";
import { HttpError } from "../../shared/runtime/http/problem.ts";
import { defineRoute } from "../../shared/runtime/http/route.ts";
import { asking } from "../functions/support-app.ts";
import { type OidcIssuer, startOidcIssuer, type TokenOptions } from "../services/oidc-issuer.ts";

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

async function refusal(headers: Record<string, string>, by = authorize): Promise<HttpError> {
  try {
    await by(showing(headers));
  } catch (error) {
    if (error instanceof HttpError) return error;
    throw error;
  }
  throw new Error("the caller was let in");
}

describe("authorization by keys", () => {
  it("tells callers by their key, in either header", async () => {
    const shown: Record<string, string>[] = [
      { authorization: `Bearer ${reader.key}` },
      { authorization: `bearer  ${reader.key}` },
      { "x-api-key": reader.key },
    ];
    for (const headers of shown) {
      const caller = await authorize(showing(headers));
      expect(caller.id).toBe("reader");
      expect(["orders", "flights", "flight", "ordersx", "x"].map(caller.canRead)).toEqual([true, true, true, false, false]);
      expect(["replay-a", "replay", "orders"].map(caller.canPublish)).toEqual([true, false, false]);
      expect(caller.admin).toBe(false);
    }
    const caller = await authorize(showing({ "x-api-key": operator.key }));
    expect([caller.id, caller.admin, caller.canRead("orders")]).toEqual(["operator", true, false]);
  });

  it.each([
    ["no key", {}],
    ["another key", { authorization: `Bearer ${newApiKey("reader").key}` }],
    ["a key cut short", { authorization: `Bearer ${reader.key.slice(0, -1)}` }],
    ["the key's hash", { authorization: `Bearer ${reader.sha256}` }],
    ["another scheme", { authorization: `Basic ${reader.key}` }],
    ["two keys", { authorization: `Bearer ${reader.key}`, "x-api-key": operator.key }],
  ])("refuses %s with 401 and a challenge", async (_, headers) => {
    const error = await refusal(headers as Record<string, string>);
    expect(error.status).toBe(401);
    expect(error.headers["www-authenticate"]).toMatch(/^Bearer realm="persistor"/);
  });

  it("lets everyone do everything where the mode is open", async () => {
    const caller = await createAuthorize(OPEN_AUTH)(showing({}));
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

describe("authorization by tokens", () => {
  const AUDIENCE = "api://persistor";
  const ROLES = { reader: { read: ["orders"] }, replayer: { publish: ["replay-*"] }, operator: { admin: true } };
  let entra: OidcIssuer;
  let google: OidcIssuer;
  beforeAll(async () => {
    [entra, google] = await Promise.all([startOidcIssuer(), startOidcIssuer()]);
  });
  afterAll(() => Promise.all([entra.stop(), google.stop()]));

  const settingsOf = (issuers: readonly Record<string, unknown>[]) =>
    authSchema.parse({ mode: "required", apiKeys: [{ id: "reader", sha256: reader.sha256, grants: { read: ["flights"] } }], issuers });
  const byBoth = () =>
    createAuthorize(
      settingsOf([
        { issuer: entra.url, audience: AUDIENCE, roles: ROLES },
        { issuer: google.url, audience: AUDIENCE, roleClaim: "email", roles: { "ann@example.org": { read: ["orders", "flights"] } } },
      ]),
    );
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const tokenOf = (claims: JWTPayload = {}, options?: TokenOptions) => entra.token({ aud: AUDIENCE, ...claims }, options);
  const grantsOf = ({ admin, canRead, canPublish }: Caller) => [canRead("orders"), canPublish("replay-a"), admin];

  it.each([
    ["a list", ["reader"], [true, false, false]],
    ["a text", "replayer", [false, true, false]],
    ["several, whose grants are united", ["reader", "replayer", "unknown"], [true, true, false]],
    ["all", ["reader", "replayer", "operator"], [true, true, true]],
    ["none", [], [false, false, false]],
    ["unknown ones", ["Reader", "reader replayer", "__proto__", "constructor"], [false, false, false]],
    ["a missing claim", undefined, [false, false, false]],
    ["something else", { reader: true }, [false, false, false]],
  ])("grants what the roles grant, given as %s", async (_, roles, grants) => {
    const caller = await byBoth()(showing(bearer(await tokenOf({ roles }))));
    expect(grantsOf(caller)).toEqual(grants);
  });

  it("names a caller by issuer and subject, so that none is taken for another or for a key", async () => {
    const by = byBoth();
    const ids = await Promise.all(
      [
        tokenOf({ sub: "ann" }),
        tokenOf({ sub: "reader" }),
        google.token({ aud: AUDIENCE, sub: "ann", email: "ann@example.org", email_verified: true }),
      ].map(async (token) => (await by(showing(bearer(await token)))).id),
    );
    expect(ids).toEqual([`${entra.url}#ann`, `${entra.url}#reader`, `${google.url}#ann`]);
  });

  it("takes an address of mail for a role only where it is verified", async () => {
    const ann = { aud: AUDIENCE, email: "ann@example.org" };
    const caller = await byBoth()(showing(bearer(await google.token({ ...ann, email_verified: true }))));
    expect(["orders", "flights", "x"].map(caller.canRead)).toEqual([true, true, false]);
    for (const isVerified of [false, undefined, "true"]) {
      const error = await refusal(bearer(await google.token({ ...ann, email_verified: isVerified })), byBoth());
      expect([error.status, error.message]).toEqual([401, expect.stringContaining("not verified")]);
    }
  });

  it("takes keys beside tokens, in either header", async () => {
    for (const headers of [bearer(reader.key), { "x-api-key": reader.key }]) {
      const caller = await byBoth()(showing(headers as Record<string, string>));
      expect([caller.id, caller.canRead("flights"), caller.canRead("orders")]).toEqual(["reader", true, false]);
    }
    const error = await refusal({ ...bearer(await tokenOf({ roles: ["reader"] })), "x-api-key": reader.key }, byBoth());
    expect(error.status).toBe(401);
  });

  it("unites the grants of a token that is for two audiences known here", async () => {
    const by = createAuthorize(
      settingsOf([
        { issuer: entra.url, audience: "a", roles: { reader: { read: ["orders"] } } },
        { issuer: entra.url, audience: "b", roles: { reader: { publish: ["replay-*"] } } },
      ]),
    );
    expect(grantsOf(await by(showing(bearer(await tokenOf({ aud: ["a", "b"], roles: ["reader"] })))))).toEqual([true, true, false]);
    expect(grantsOf(await by(showing(bearer(await tokenOf({ aud: "b", roles: ["reader"] })))))).toEqual([false, true, false]);
  });

  it.each<[string, () => Promise<string>]>([
    ["of an issuer that is not set", () => tokenOf({ iss: "https://issuer.example.org" })],
    ["of one issuer signed by another", () => google.token({ iss: entra.url, aud: AUDIENCE, roles: ["operator"] })],
    ["for another audience", () => tokenOf({ aud: "api://other" })],
    ["that has expired", () => tokenOf({ exp: 1_700_000_000 })],
    ["without an end", () => tokenOf({ exp: undefined })],
    ["without a subject", () => tokenOf({ sub: undefined })],
    ["with an empty subject", () => tokenOf({ sub: "" })],
    ["without a signature", () => tokenOf({ roles: ["operator"] }, { algorithm: "none" })],
    ["signed by the text of the public key", () => tokenOf({ roles: ["operator"] }, { algorithm: "HS256" })],
    ["signed by a stranger", () => tokenOf({ roles: ["operator"] }, { signedBy: "stranger" })],
    ["whose claims are no object", async () => `${(await tokenOf()).split(".")[0]}.${Buffer.from("null").toString("base64url")}.abc`],
    ["whose parts are no JSON", async () => "abc.def.ghi"],
  ])("refuses a token %s with 401 and a challenge", async (_, make) => {
    const error = await refusal(bearer(await make()), byBoth());
    expect(error.status).toBe(401);
    expect(error.headers["www-authenticate"]).toBe('Bearer realm="persistor", error="invalid_token"');
  });

  it("lets tokens and keys through a whole app, tells outages from wrong tokens, and logs no token", async () => {
    const logged: unknown[] = [];
    const log = { info: note, warn: note, error: note, child: () => log };
    function note(...line: unknown[]): void {
      logged.push(line);
    }
    const route = defineRoute({
      method: "GET",
      path: "/read/{collection}",
      operationId: "read",
      summary: "",
      tags: [],
      params: z.strictObject({ collection: z.string() }),
      responses: { 200: { description: "" } },
      handler: ({ params, caller }) => ({ status: caller.canRead(params.collection) ? 200 : 404, body: { id: caller.id } }),
    });
    const admin = defineRoute({ ...route, path: "/admin", operationId: "admin", params: undefined, access: "admin", handler: () => ({}) });
    const ask = asking([{ prefix: "", routes: [route, admin] }], { authorize: byBoth(), log });
    const status = async (path: string, headers: Record<string, string>) => (await ask("GET", path, { headers })).status;
    const token = await tokenOf({ roles: ["reader"] });
    expect(await ask("GET", "/read/orders", { headers: bearer(token) })).toMatchObject({
      status: 200,
      body: { id: `${entra.url}#somebody` },
    });
    expect(await status("/read/flights", bearer(token))).toBe(404);
    expect(await status("/read/flights", { "x-api-key": reader.key })).toBe(200);
    expect(await status("/admin", bearer(token))).toBe(403);
    expect(await status("/admin", bearer(await tokenOf({ roles: ["operator"] })))).toBe(200);
    const refused = await ask("GET", "/read/orders", { headers: bearer(await tokenOf({ aud: "x" })) });
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, expect.stringContaining("invalid_token")]);
    const unreachable = await tokenOf({ iss: google.url });
    await google.stop();
    const outage = await ask("GET", "/read/orders", { headers: bearer(unreachable) });
    expect([outage.status, outage.headers.get("retry-after")]).toEqual([503, "5"]);
    await google.start();
    for (const shown of [token, unreachable, reader.key]) expect(JSON.stringify(logged)).not.toContain(shown.slice(-40));
    expect(logged.length).toBeGreaterThan(0);
  });

  it("refuses settings that name an issuer and audience twice, or keys that are not read over HTTPS", () => {
    const entry = { issuer: "https://issuer.example.org/", audience: "a", roles: {} };
    expect(settingsOf([entry, { ...entry, audience: "b" }]).issuers[0]?.roleClaim).toBe("roles");
    for (const issuers of [
      [entry, entry],
      [{ ...entry, issuer: "http://issuer.example.org" }],
      [{ ...entry, issuer: "https://issuer.example.org/#x" }],
      [{ ...entry, jwksUri: "http://issuer.example.org/keys" }],
      [{ ...entry, roles: { a: { write: ["x"] } } }],
      [{ ...entry, claim: "x" }],
    ]) {
      expect(() => settingsOf(issuers)).toThrow();
    }
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
    const caller = await createAuthorize(authSchema.parse({ mode: "required", apiKeys: [entry] }))(showing({ "x-api-key": key }));
    expect(caller.canRead("flights")).toBe(true);
  });

  it.each([[[]], [["a b"]], [["a", "b"]], [["a", "--all"]]])("refuses the arguments %j and says how it is used", async (args) => {
    await expect(run(...args)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("usage:") });
  });
});
