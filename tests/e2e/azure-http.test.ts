import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hashOfKey } from "../../shared/runtime/auth/keys.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type OidcIssuer, startOidcIssuer } from "../services/oidc-issuer.ts";
import { call, ended, flight, indexed, pipelineOf, publishToServiceBus } from "./support-azure.ts";

const MESSAGES = 40;
const AUDIENCE = "api://persistor";
const FUNCTION_KEY = `${randomUUID()}==`;
const READER = { read: ["flights"], publish: [], admin: false };

describeWhere(azureCloudMissing(), "the HTTP APIs of the function app", () => {
  let cloud: AzureCloud;
  let entra: OidcIssuer;

  const ask = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(cloud.host.url + path, { headers, ...init });
  const post = (path: string, headers: Record<string, string>, body: unknown) =>
    ask(path, { "content-type": "application/json", ...headers }, { method: "POST", body: JSON.stringify(body) });

  beforeAll(async () => {
    await ensureBundles();
    entra = await startOidcIssuer({ path: "/9c7f0b3a-tenant/v2.0" });
    cloud = await startAzureCloud({
      pipelines: {
        flights: pipelineOf({ broker: "service-bus", topic: "flights", entity: "queue" }, "flights"),
        others: pipelineOf({ broker: "service-bus", topic: "others", entity: "queue" }, "others"),
      },
      destinations: { replay: { broker: "service-bus", topic: "replay" } },
      environment: {
        PERSISTOR_FUNCTION_AUTH_LEVEL: "function",
        PERSISTOR_AUTH: JSON.stringify({
          mode: "required",
          apiKeys: [
            { id: "function-key", sha256: hashOfKey(FUNCTION_KEY).toString("hex"), grants: { read: ["*"], publish: ["*"], admin: true } },
          ],
          issuers: [{ issuer: entra.url, audience: AUDIENCE, roles: { "Flights.Read": READER } }],
        }),
      },
      host: { keys: { host: FUNCTION_KEY } },
    });
    cloud.apiKey = FUNCTION_KEY;
    await publishToServiceBus(
      cloud,
      "flights",
      Array.from({ length: MESSAGES }, (_, i) => flight(i)),
    );
    await until(() => countWith({ "x-functions-key": FUNCTION_KEY }));
  }, 180_000);
  afterAll(async () => {
    await cloud?.stop();
    await entra?.stop();
  });

  const countWith = async (headers: Record<string, string>): Promise<number> => {
    const response = await post("/api/indexer/query/flights?count=true", headers, { filters: [{}] });
    return response.ok ? ((await response.json()) as { total_count: number }).total_count : -response.status;
  };
  const until = async (count: () => Promise<number>) => {
    while ((await count()) < MESSAGES) await new Promise((resolve) => setTimeout(resolve, 200));
  };

  test("take a function key, as header or as parameter, for both the platform and themselves", async () => {
    expect(await countWith({ "x-functions-key": FUNCTION_KEY })).toBe(MESSAGES);
    const { status } = await post(`/api/indexer/query/flights?code=${encodeURIComponent(FUNCTION_KEY)}`, {}, { filters: [{}] });
    expect(status).toBe(200);
  });

  test("are closed to whoever has no function key, or a wrong one", async () => {
    expect((await ask("/api/indexer/collections")).status).toBe(401);
    expect((await ask("/api/indexer/collections", { "x-functions-key": "guess" })).status).toBe(401);
    const token = await entra.token({ aud: AUDIENCE, roles: ["Flights.Read"] });
    expect((await ask("/api/indexer/collections", { authorization: `Bearer ${token}` })).status).toBe(401);
  });

  test("grant a token of Entra ID what its roles grant, beside the function key", async () => {
    const asRole = async (roles: string[], more = {}) => ({
      "x-functions-key": FUNCTION_KEY,
      authorization: `Bearer ${await entra.token({ aud: AUDIENCE, tid: "9c7f0b3a-tenant", roles, ...more })}`,
    });
    const reader = await asRole(["Flights.Read", "Other"]);
    expect(await countWith(reader)).toBe(MESSAGES);
    const collections = (await (await ask("/api/indexer/collections", reader)).json()) as { collections: { name: string }[] };
    expect(collections.collections.map(({ name }) => name)).toEqual(["flights"]);
    expect((await post("/api/indexer/query/others", reader, { filters: [{}] })).status).toBe(404);
    expect((await post("/api/resubmitter/query/flights?topic=replay", reader, { filters: [{}] })).status).toBe(403);
    expect((await post("/api/maintenance", reader, { kind: "audit", pipeline: "flights" })).status).toBe(403);
    expect(await countWith(await asRole(["Nobody"]))).toBe(-404);
    expect(await countWith(await asRole(["Flights.Read"], { aud: "api://another" }))).toBe(-401);
    const expired = { exp: Math.floor(Date.now() / 1000) - 60 };
    expect(await countWith(await asRole(["Flights.Read"], expired))).toBe(-401);
  });

  test("answer with paths that lead back to them", async () => {
    const headers = { "x-functions-key": FUNCTION_KEY, prefer: "respond-async" };
    const answer = await post("/api/resubmitter/query/flights?topic=replay", headers, { filters: [{}] });
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toMatch(/^\/api\/resubmitter\/jobs\//);
    const job = await ended(cloud, answer.headers.get("location") as string);
    expect(job).toMatchObject({ state: "succeeded", summary: { published_count: MESSAGES, verified_count: MESSAGES } });
    const audit = await call(cloud, "POST", "/api/maintenance", { kind: "audit", pipeline: "flights" });
    expect(audit.headers.get("location")).toMatch(/^\/api\/maintenance\//);
    expect((await ended(cloud, audit.headers.get("location") as string)).progress).toMatchObject({
      records: MESSAGES,
      missing_in_index: 0,
    });
  });

  test("keep names, queries and bodies as they were sent: percent signs, slashes, repeated parameters, text that is not ASCII", async () => {
    const headers = { "x-functions-key": FUNCTION_KEY };
    const { body } = await call(cloud, "GET", "/api/indexer/exact/flights/flights_1");
    expect(body).toMatchObject({ unique_id: "flights_1" });
    expect((await ask("/api/indexer/exact/flights/a%2Fb%20%C3%BC", headers)).status).toBe(404);
    expect((await ask("/api/indexer/exact/flights/%zz", headers)).status).toBe(400);
    expect((await ask("/api/indexer/nothing", headers)).status).toBe(404);
    const empty = await ask("/api/indexer/query/flights", { ...headers, "content-type": "application/json" }, { method: "POST" });
    expect(empty.status).toBe(400);
    expect(empty.headers.get("content-type")).toContain("application/problem+json");
    const filter = { filters: [{ "additional_metadata.Größe": { $exists: false } }] };
    expect((await call(cloud, "POST", "/api/indexer/query/flights?limit=1", filter)).body.returned_count).toBe(1);
  });

  test("tell that they live and are ready, and describe themselves", async () => {
    const headers = { "x-functions-key": FUNCTION_KEY };
    expect(await (await ask("/api/healthz", headers)).json()).toEqual({ status: "ok" });
    await expect.poll(async () => (await ask("/api/readyz", headers)).status).toBe(200);
    const description = (await (await ask("/api/openapi.json", headers)).json()) as {
      openapi: string;
      servers: unknown;
      paths: Record<string, Record<string, unknown>>;
    };
    expect(description).toMatchObject({ openapi: "3.1.1", servers: [{ url: "/api" }] });
    const paths = Object.keys(description.paths);
    expect(paths).toEqual(expect.arrayContaining(["/indexer/query/{collection}", "/maintenance", "/maintenance/{id}", "/readyz"]));
    for (const path of paths.filter((each) => description.paths[each]?.["get"])) {
      const here = path.replace("{collection}", "flights").replace(/\{\w+\}/g, "none");
      const answer = await ask(`/api${here}`, headers);
      expect([path, answer.headers.get("content-type")]).toEqual([path, expect.stringContaining("json")]);
      expect(await answer.text()).not.toContain("nothing at this path");
    }
  });

  test("say which part is away", async () => {
    await indexed(cloud, "flights", MESSAGES);
    const { mongo } = cloud;
    await mongo.stop();
    const headers = { "x-functions-key": FUNCTION_KEY };
    const away = await ask("/api/readyz", headers);
    expect(away.status).toBe(503);
    expect(JSON.stringify(await away.json())).toContain("index");
  });
});
