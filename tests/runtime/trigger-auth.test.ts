import type { JWTPayload } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isToken } from "../../shared/runtime/auth/tokens.ts";
import { createTriggerAuth, type TriggerAuth } from "../../shared/runtime/auth/trigger-auth.ts";
import { type TriggerAuthSettings, triggerAuthSchema } from "../../shared/runtime/auth/trigger-settings.ts";
import { HttpError } from "../../shared/runtime/http/problem.ts";
import { type OidcIssuer, startOidcIssuer, type TokenOptions } from "../services/oidc-issuer.ts";

const ACCOUNT = "push@project.iam.gserviceaccount.com";
const AUDIENCE = "https://persist.example.org";
const DISCOVERY = "/.well-known/openid-configuration";

let issuer: OidcIssuer;
beforeAll(async () => {
  issuer = await startOidcIssuer();
});
afterAll(() => issuer.stop());
afterEach(async () => {
  vi.useRealTimers();
  issuer.describeAs({});
  await issuer.stop();
  await issuer.start();
});

const settingsOf = (change: Record<string, unknown> = {}): TriggerAuthSettings =>
  triggerAuthSchema.parse({ mode: "required", issuer: issuer.url, audience: AUDIENCE, serviceAccounts: [ACCOUNT], ...change });
const tokenOf = (claims: JWTPayload = {}, options?: TokenOptions) =>
  issuer.token({ aud: AUDIENCE, email: ACCOUNT, email_verified: true, ...claims }, options);
const nowS = () => Math.floor(Date.now() / 1000);
const showing = (authorization?: string) => (name: string) => (name === "authorization" ? authorization : undefined);
const show = (auth: TriggerAuth, token: string) => auth(showing(`Bearer ${token}`));

/** Sets the clock forward; timers go on as they do. */
function passS(seconds: number): void {
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now: now + seconds * 1000 });
}

async function refusal(passing: Promise<void>): Promise<HttpError> {
  const error = await passing.then(
    () => new Error("the caller was let in"),
    (error: unknown) => error,
  );
  if (error instanceof HttpError) return error;
  throw error;
}

describe("a function that a broker triggers", () => {
  it("opens to tokens of its service accounts, by each asymmetric algorithm", async () => {
    const auth = createTriggerAuth(settingsOf());
    await show(auth, await tokenOf());
    await show(auth, await tokenOf({}, { algorithm: "ES256" }));
    await show(auth, await tokenOf({ aud: ["another", AUDIENCE] }));
    await auth(showing(`bearer  ${await tokenOf()}`));
  });

  it("takes Google's tokens under either name that Google has", async () => {
    const auth = createTriggerAuth(settingsOf({ issuer: "https://accounts.google.com", jwksUri: issuer.jwksUri }));
    await show(auth, await tokenOf({ iss: "https://accounts.google.com" }));
    await show(auth, await tokenOf({ iss: "accounts.google.com" }));
    expect((await refusal(show(auth, await tokenOf()))).status).toBe(401);
  });

  it.each<[string, () => Promise<string>, string]>([
    ["for another audience", () => tokenOf({ aud: `${AUDIENCE}/` }), "another audience"],
    ["without an audience", () => tokenOf({ aud: undefined }), "another audience"],
    ["that has expired", () => tokenOf({ exp: nowS() - 31 }), "has expired"],
    ["that never expires", () => tokenOf({ exp: undefined }), "claim exp"],
    ["that is not valid yet", () => tokenOf({ nbf: nowS() + 600 }), "not valid yet"],
    ["of another issuer", () => tokenOf({ iss: "https://accounts.google.com" }), "an issuer that is not known"],
    ["of an issuer whose name only begins alike", () => tokenOf({ iss: `${issuer.url}/` }), "an issuer that is not known"],
    ["without a signature", () => tokenOf({}, { algorithm: "none" }), "not signed, or by an algorithm"],
    ["signed by the text of the public key", () => tokenOf({}, { algorithm: "HS256" }), "not signed, or by an algorithm"],
    ["signed by a stranger", () => tokenOf({}, { signedBy: "stranger" }), "not signed by a key of its issuer"],
    [
      "signed by a stranger on a curve",
      () => tokenOf({}, { algorithm: "ES256", signedBy: "stranger" }),
      "not signed by a key of its issuer",
    ],
    ["with claims exchanged after signing", async () => exchanged(await tokenOf({ email: "me@example.org" })), "not signed by a key"],
    ["whose signature the platform took off", async () => `${unsigned(await tokenOf())}.SIGNATURE_REMOVED_BY_GOOGLE`, "unauthenticated"],
    ["of more than 16 KiB", () => tokenOf({ padding: "x".repeat(20_000) }), "too long"],
    ["that is none", async () => "psk_reader_0123456789", "no token"],
    ["whose parts are no JSON", async () => "abc.def.ghi", "no token"],
  ])("refuses a token %s with 401, and says so", async (_, make, text) => {
    const error = await refusal(show(createTriggerAuth(settingsOf()), await make()));
    expect([error.status, error.message]).toEqual([401, expect.stringContaining(text)]);
    expect(error.headers["www-authenticate"]).toBe('Bearer realm="persistor", error="invalid_token"');
    expect(JSON.stringify({ ...error, text: error.message, cause: error.cause })).not.toContain(ACCOUNT);
  });

  it.each([undefined, "", "Bearer", "Basic abc", "Bearer a b"])("refuses the header %j with 401 and a challenge", async (header) => {
    const error = await refusal(createTriggerAuth(settingsOf())(showing(header)));
    expect([error.status, error.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="persistor"']);
  });

  it.each<[string, JWTPayload]>([
    ["another account", { email: `x${ACCOUNT}` }],
    ["no account", { email: undefined }],
    ["an account whose address is not verified", { email_verified: false }],
    ["an account whose address is called verified by a text", { email_verified: "true" }],
    ["the account as its subject only", { sub: ACCOUNT, email: undefined }],
  ])("refuses %s with 403", async (_, claims) => {
    const error = await refusal(show(createTriggerAuth(settingsOf()), await tokenOf(claims)));
    expect([error.status, error.message]).toEqual([403, expect.stringContaining("serviceAccounts")]);
  });

  it("bears with clocks that differ by some seconds", async () => {
    const auth = createTriggerAuth(settingsOf());
    await show(auth, await tokenOf({ exp: nowS() - 5 }));
    await show(auth, await tokenOf({ nbf: nowS() + 5 }));
  });

  it("is closed without settings, and tells the operator what to set", async () => {
    const error = await refusal(show(createTriggerAuth(undefined), await tokenOf()));
    expect([error.status, error.message]).toEqual([401, expect.stringContaining("set PERSISTOR_TRIGGER_AUTH")]);
    expect(error.headers["www-authenticate"]).toContain("Bearer");
  });

  it("lets everyone pass where the mode is open", async () => {
    const auth = createTriggerAuth(triggerAuthSchema.parse({ mode: "open" }));
    await auth(showing());
    await auth(showing("Bearer x"));
  });
});

describe("a token that was verified", () => {
  it("is not verified again: it passes while its key is not among the issuer's any more, and its issuer is not asked", async () => {
    const auth = createTriggerAuth(settingsOf());
    const token = await tokenOf();
    await Promise.all(Array.from({ length: 50 }, () => show(auth, token)));
    await issuer.rotate();
    passS(60);
    await show(auth, await tokenOf({ jti: "of a new key, which has the keys read again" }));
    const asked = issuer.requests();
    await issuer.stop();
    for (let i = 0; i < 50; i++) await show(auth, token);
    expect(issuer.requests()).toEqual(asked);
    expect((await refusal(show(createTriggerAuth(settingsOf()), token))).status).toBe(503);
  });

  it("still expires", async () => {
    const auth = createTriggerAuth(settingsOf());
    const token = await tokenOf({ exp: nowS() + 110 });
    await show(auth, token);
    passS(125);
    await show(auth, token);
    passS(20);
    const error = await refusal(show(auth, token));
    expect([error.status, error.message]).toEqual([401, expect.stringContaining("expired")]);
  });

  it("counts no longer than some minutes after its issuer withdrew the key", async () => {
    const auth = createTriggerAuth(settingsOf());
    const token = await tokenOf();
    await show(auth, token);
    await issuer.rotate();
    passS(290);
    await show(auth, token);
    // The keys themselves are kept for ten minutes.
    passS(320);
    expect((await refusal(show(auth, token))).status).toBe(401);
  });

  it("is forgotten before a thousand others are, and then verified again", async () => {
    const auth = createTriggerAuth(settingsOf());
    const [first, second] = [
      await tokenOf({ jti: "first" }, { algorithm: "ES256" }),
      await tokenOf({ jti: "second" }, { algorithm: "ES256" }),
    ];
    await show(auth, second);
    await show(auth, first);
    await show(auth, second);
    for (let i = 0; i < 999; i++) await show(auth, await tokenOf({ jti: String(i) }, { algorithm: "ES256" }));
    await issuer.rotate();
    passS(120);
    await show(auth, second);
    // A token of a new key has the keys fetched again: what is not remembered now fails.
    passS(1);
    await show(auth, await tokenOf());
    expect((await refusal(show(auth, first))).status).toBe(401);
  });
});

describe("the keys of an issuer", () => {
  it("are found by its discovery document, or read from where the settings say", async () => {
    await issuer.rotate();
    const before = issuer.requests();
    await show(createTriggerAuth(settingsOf({ jwksUri: issuer.jwksUri })), await tokenOf());
    expect(issuer.requests()[DISCOVERY]).toBe(before[DISCOVERY]);
    await show(createTriggerAuth(settingsOf()), await tokenOf());
    expect(issuer.requests()[DISCOVERY]).toBe((before[DISCOVERY] ?? 0) + 1);
  });

  it("are fetched again for a token of a new key, but not for each one that is made up", async () => {
    const auth = createTriggerAuth(settingsOf());
    const old = await tokenOf({ jti: "old" });
    await show(auth, await tokenOf());
    await issuer.rotate();
    passS(60);
    await show(auth, await tokenOf());
    expect((await refusal(show(auth, old))).status).toBe(401);
    const asked = issuer.requests();
    for (let i = 0; i < 10; i++) await refusal(show(auth, await tokenOf({ jti: String(i) }, { signedBy: "stranger" })));
    expect(issuer.requests()).toEqual(asked);
  });

  it("that cannot be read make it 503, to be tried again later, until they can be", async () => {
    const auth = createTriggerAuth(settingsOf());
    const token = await tokenOf();
    await issuer.stop();
    const error = await refusal(show(auth, token));
    expect([error.status, error.headers["retry-after"], error.message]).toEqual([503, "5", expect.stringContaining(issuer.url)]);
    await issuer.start();
    await show(auth, token);
  });

  it("that went away after they were found make it 503 too", async () => {
    const auth = createTriggerAuth(settingsOf());
    await show(auth, await tokenOf());
    await issuer.stop();
    passS(3600);
    expect((await refusal(show(auth, await tokenOf()))).status).toBe(503);
    await issuer.start();
    await show(auth, await tokenOf());
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["names another issuer", { issuer: "https://issuer.example.org" }, "names another issuer"],
    ["names no keys", { jwks_uri: undefined }, "set jwksUri"],
    ["names keys that anyone on the way could exchange", { jwks_uri: "http://keys.example.org/" }, "set jwksUri"],
  ])("are not taken from a discovery document that %s", async (_, change, text) => {
    issuer.describeAs(change);
    const error = await refusal(show(createTriggerAuth(settingsOf()), await tokenOf()));
    expect([error.status, error.cause]).toEqual([503, expect.objectContaining({ message: expect.stringContaining(text) })]);
  });
});

describe("the settings of triggers", () => {
  it("name Google by default, and refuse issuers and keys that are not read over HTTPS", () => {
    const required = { mode: "required", audience: AUDIENCE, serviceAccounts: [ACCOUNT] };
    expect(triggerAuthSchema.parse(required)).toMatchObject({ issuer: "https://accounts.google.com" });
    for (const change of [
      { issuer: "http://issuer.example.org" },
      { issuer: "https://issuer.example.org/?tenant=1" },
      { jwksUri: "http://issuer.example.org/keys" },
      { issuer: "file:///keys" },
      { serviceAccounts: [] },
      { serviceAccounts: ["nobody"] },
      { audience: "" },
      { accounts: [] },
    ]) {
      expect(triggerAuthSchema.safeParse({ ...required, ...change }).success).toBe(false);
    }
  });
});

const unsigned = (token: string) => token.slice(0, token.lastIndexOf("."));

/** The token with its claims exchanged for those of the account. */
function exchanged(token: string): string {
  const [header, claims, signature] = token.split(".") as [string, string, string];
  const changed = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), email: ACCOUNT };
  const forged = `${header}.${Buffer.from(JSON.stringify(changed)).toString("base64url")}.${signature}`;
  if (!isToken(forged)) throw new Error("the forged token is none");
  return forged;
}
