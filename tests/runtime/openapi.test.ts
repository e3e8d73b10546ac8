import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { queryRoutes } from "../../functions/query/local.ts";
import type { EmbeddedBroker } from "../../shared/adapters/brokers/embedded/adapter.ts";
import type { MetadataIndex } from "../../shared/core/ports/metadata-index.ts";
import { brokerRoutes } from "../../shared/runtime/local/broker-verbs.ts";
import { asking } from "../functions/support-app.ts";

const clock = { nowMs: () => 0, sleep: async () => undefined };
const indexer = queryRoutes({ index: {} as MetadataIndex, clock, collections: () => [] }, "a secret of at least thirty-two characters");
const ask = asking([
  { prefix: "/indexer", routes: indexer },
  { prefix: "", routes: brokerRoutes({} as EmbeddedBroker) },
]);

describe("/openapi.json", () => {
  it("is valid OpenAPI 3.1", async () => {
    const { status, body } = await ask("GET", "/openapi.json");
    expect(status).toBe(200);
    expect(body.openapi).toMatch(/^3\.1\./);
    expect(await new Validator().validate(structuredClone(body))).toEqual({ valid: true });
  });

  it("describes every route, parameter and problem, and refers to nothing that is missing", async () => {
    const { body } = await ask("GET", "/openapi.json");
    expect(Object.keys(body.paths)).toContain("/indexer/exact/{collection}/{id}");
    expect(Object.keys(body.paths)).toContain("/topics/{topic}:publish");
    for (const path of Object.values<
      Record<string, { parameters: { description?: string }[]; responses: Record<string, unknown>; summary: string }>
    >(body.paths)) {
      for (const operation of Object.values(path)) {
        expect(operation.summary).not.toBe("");
        expect(operation.responses.default).toBeDefined();
        for (const { description } of operation.parameters) expect(description).toBeTruthy();
      }
    }
    const references = [...JSON.stringify(body).matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(0);
    for (const [, kind, name] of references) expect(body.components[kind as string][name as string]).toBeDefined();
  });

  it("tells bounds and defaults of paging", async () => {
    const { body } = await ask("GET", "/openapi.json");
    const limit = body.paths["/indexer/query/{collection}"].post.parameters.find(({ name }: { name: string }) => name === "limit");
    expect(limit).toMatchObject({ in: "query", required: false, schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 } });
  });
});
