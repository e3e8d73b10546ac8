import { z } from "zod";
import { problemSchema, REQUEST_ID_DOC } from "./openapi-parts.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import type { Mount, ResponseDoc, Route } from "./route.ts";
import { REQUEST_HEADER } from "./validate.ts";

/** What the description says of the whole API. */
export interface ApiInfo {
  title?: string;
  version: string;
  description?: string;
}

type Json = Record<string, unknown>;

/** Collects what several operations refer to. */
type Components = Record<string, unknown>;

const SCHEMAS = "#/components/schemas/";

/** The OpenAPI 3.1 document of all routes, from the schemas that validate requests. */
export function openApiOf(mounts: readonly Mount[], info: ApiInfo): Json {
  const schemas: Components = {};
  const problemRef = schemaOf(problemSchema, "output", "problem", schemas);
  const paths: Record<string, Json> = {};
  for (const { prefix, routes } of mounts) {
    for (const route of routes) {
      const path = prefix + route.path;
      paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, schemas) };
    }
  }
  return {
    openapi: "3.1.1",
    info: { title: info.title ?? "Persistor", version: info.version, description: info.description },
    paths,
    components: {
      schemas,
      responses: {
        Problem: {
          description: "What is wrong, and where.",
          headers: { "x-request-id": REQUEST_ID_DOC },
          content: { [PROBLEM_TYPE]: { schema: problemRef } },
        },
      },
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "An API key or an issuer's token, where the host asks for one." },
        apiKey: { type: "apiKey", in: "header", name: "x-api-key", description: "The same key in a header of its own." },
      },
    },
  };
}

function operationOf(route: Route, schemas: Components): Json {
  return {
    operationId: route.operationId,
    summary: route.summary,
    description: route.description,
    tags: route.tags,
    parameters: parametersOf(route, schemas),
    requestBody: requestBodyOf(route, schemas),
    responses: {
      ...Object.fromEntries(Object.entries(route.responses).map(([status, doc]) => [status, responseOf(doc, route, schemas)])),
      default: { $ref: "#/components/responses/Problem" },
    },
    security: route.access === "public" ? [] : [{}, { bearer: [] }, { apiKey: [] }],
  };
}

function parametersOf(route: Route, schemas: Components): Json[] {
  const known = route.params instanceof z.ZodObject ? route.params.shape : {};
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) =>
    parameterOf(name, "path", known[name] ?? z.string(), route, schemas),
  );
  const inQuery = Object.entries(route.query?.shape ?? {}).map(([name, schema]) => parameterOf(name, "query", schema, route, schemas));
  const inHeader: Json[] = [
    {
      name: "x-request-id",
      in: "header",
      description: "Id of the request, up to 128 printable characters; one is made where it is missing.",
      schema: { type: "string", maxLength: 128 },
    },
  ];
  if (route.bodyInHeader) {
    inHeader.push({
      name: REQUEST_HEADER,
      in: "header",
      description: "The body's JSON in ASCII, up to 8 KiB, in place of a body.",
      schema: { type: "string", maxLength: 8192 },
    });
  }
  return [...inPath, ...inQuery, ...inHeader];
}

function parameterOf(name: string, place: "path" | "query", schema: z.core.$ZodType, route: Route, schemas: Components): Json {
  const { description, ...rest } = schemaOf(schema, "output", route.operationId, schemas);
  const required = place === "path" || !z.safeParse(schema, undefined).success;
  return { name, in: place, required, description: description ?? name, schema: rest };
}

function requestBodyOf(route: Route, schemas: Components): Json | undefined {
  if (route.stream) {
    const schema = schemaOf(route.stream.schema, "input", route.operationId, schemas);
    return { required: true, description: route.stream.description, content: { "application/x-ndjson": { schema } } };
  }
  const body = route.bodyDoc ?? route.body;
  if (!body) return undefined;
  const required = !route.bodyOptional && !route.bodyInHeader;
  return { required, content: { "application/json": { schema: schemaOf(body, "input", route.operationId, schemas) } } };
}

function responseOf({ description, schema, contentType }: ResponseDoc, route: Route, schemas: Components): Json {
  const headers = { "x-request-id": REQUEST_ID_DOC };
  if (!schema && !contentType) return { description, headers };
  const content = schema ? schemaOf(schema, "output", route.operationId, schemas) : { type: "string" };
  return { description, headers, content: { [contentType ?? "application/json"]: { schema: content } } };
}

/** The JSON Schema of `schema`; what it names by an id goes to `schemas` and is referred to. */
function schemaOf(schema: z.core.$ZodType, io: "input" | "output", scope: string, schemas: Components): Json {
  const { $schema: _, $defs = {}, ...own } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json & { $defs?: Json };
  const renamed = (id: string) => (id.startsWith("__") ? `${scope}${id}` : id);
  for (const [id, definition] of Object.entries($defs)) schemas[renamed(id)] = pointed(definition, renamed);
  return pointed(own, renamed) as Json;
}

/** A copy whose references point into the document's components. */
function pointed(value: unknown, renamed: (id: string) => string): unknown {
  if (Array.isArray(value)) return value.map((member) => pointed(member, renamed));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
    if (key === "$ref" && typeof member === "string")
      return [key, member.replace(/^#\/\$defs\/(.*)$/, (_, id: string) => SCHEMAS + renamed(id))];
    if (key === "id") return ["id", member];
    return [key, pointed(member, renamed)];
  });
  return Object.fromEntries(entries);
}
