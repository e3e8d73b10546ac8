import type { IncomingMessage } from "node:http";
import type { RpcHttp } from "../rpc.ts";

/** FUNCTIONS_REQUEST_BODY_SIZE_LIMIT's default. */
const MAX_BODY_BYTES = 104_857_600;

/** Thrown for a body over the limit: 413. */
export class BodyTooLarge extends Error {}

/**
 * A request as the host sends it to the worker with the capabilities RawHttpBodyBytes, RpcHttpBodyOnly and
 * UseNullableValueDictionaryForHttp (azure-functions-host GrpcMessageConversionExtensions.ToRpcHttp): bytes, whatever the content type,
 * and only where `Content-Length` is above 0. A chunked body has no length, and is lost.
 */
export async function toRpcHttp(request: IncomingMessage, url: URL, params: Readonly<Record<string, string>>): Promise<RpcHttp> {
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > MAX_BODY_BYTES) throw new BodyTooLarge();
  const body = length > 0 ? Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)) : undefined;
  return {
    url: url.href,
    method: request.method ?? "GET",
    nullableHeaders: nullable(headersOf(request)),
    nullableQuery: nullable(queryOf(url.searchParams)),
    nullableParams: nullable(params),
    ...(body && { body: { bytes: body } }),
  };
}

/** Lower-case names; the values of a repeated header joined by commas, as .NET's StringValues write themselves. */
export function headersOf({ rawHeaders }: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`;
  }
  return headers;
}

/** Names that differ in case alone are one name, and the values of a repeated one are joined by commas. */
export function queryOf(search: URLSearchParams): Record<string, string> {
  const query = new Map<string, [string, string]>();
  for (const [name, value] of search) {
    const [first, values] = query.get(name.toLowerCase()) ?? [name, undefined];
    query.set(name.toLowerCase(), [first, values === undefined ? value : `${values},${value}`]);
  }
  return Object.fromEntries(query.values());
}

const nullable = (values: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));
