/** A route template of ASP.NET, without its prefix: `jobs/{id}`, `{name:alpha?}`, `files/{*path}`. */
export interface Route<T> {
  template: string;
  /** Upper case; undefined: any. */
  methods: ReadonlySet<string> | undefined;
  target: T;
}

export interface RouteMatch<T> {
  target: T;
  params: Record<string, string>;
}

interface Segment {
  /** In lower case; undefined for a parameter. */
  literal?: string;
  name: string;
  pattern: RegExp;
  isOptional: boolean;
  isCatchAll: boolean;
  /** Literals before constrained parameters before parameters before catch-alls. */
  rank: number;
}

const CONSTRAINTS: Readonly<Record<string, RegExp>> = {
  int: /^-?\d+$/,
  long: /^-?\d+$/,
  alpha: /^[a-z]+$/i,
  bool: /^(true|false)$/i,
  guid: /^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i,
};
const ANY = /^[\s\S]*$/;

/**
 * Finds the route of a path, the most exact first, as webjobs-sdk-extensions HttpRouteFactory has ASP.NET do. A method that a route does
 * not take makes it no match, so that the answer is 404 and not 405.
 */
export function createRouter<T>(routes: readonly Route<T>[]): (method: string, path: string) => RouteMatch<T> | undefined {
  const parsed = routes.map((route) => ({ ...route, segments: parse(route.template) })).sort((a, b) => compare(a.segments, b.segments));
  return (method, path) => {
    const parts = path.split("/").filter((part) => part !== "");
    for (const { methods, segments, target } of parsed) {
      if (methods && !methods.has(method)) continue;
      const params = match(segments, parts);
      if (params) return { target, params };
    }
    return undefined;
  };
}

function parse(template: string): Segment[] {
  return template
    .split("/")
    .filter((part) => part !== "")
    .map(segmentOf);
}

function segmentOf(part: string): Segment {
  const parameter = /^\{(\*{0,2})([^:?=}]+)((?::[^?=}]+)*)(\?)?\}$/.exec(part);
  if (!parameter) return { literal: part.toLowerCase(), name: "", pattern: ANY, isOptional: false, isCatchAll: false, rank: 0 };
  const [, stars = "", name = "", constraints = "", optional] = parameter;
  const [constraint] = constraints.split(":").filter((text) => text !== "");
  const pattern = constraint === undefined ? ANY : (CONSTRAINTS[constraint] ?? regexOf(constraint));
  const isCatchAll = stars !== "";
  return { name, pattern, isOptional: optional === "?", isCatchAll, rank: isCatchAll ? 3 : constraint === undefined ? 2 : 1 };
}

function regexOf(constraint: string): RegExp {
  const [, source] = /^regex\((.*)\)$/.exec(constraint) ?? [];
  if (source === undefined)
    throw new Error(`reading a route: no constraint '${constraint}' here; known are ${Object.keys(CONSTRAINTS).join(", ")}`);
  return new RegExp(source, "i");
}

function compare(a: readonly Segment[], b: readonly Segment[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i]?.rank ?? -1) - (b[i]?.rank ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

function match(segments: readonly Segment[], parts: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [i, segment] of segments.entries()) {
    if (segment.isCatchAll) {
      params[segment.name] = parts.slice(i).map(decoded).join("/");
      return params;
    }
    const part = parts[i];
    if (part === undefined) {
      if (segment.isOptional) continue;
      return undefined;
    }
    if (segment.literal !== undefined) {
      if (segment.literal !== decoded(part).toLowerCase()) return undefined;
    } else if (segment.pattern.test(decoded(part))) {
      params[segment.name] = decoded(part);
    } else {
      return undefined;
    }
  }
  return parts.length > segments.length ? undefined : params;
}

/** Kestrel decodes everything but the slash. */
function decoded(part: string): string {
  try {
    return part.split(/%2f/i).map(decodeURIComponent).join("%2F");
  } catch {
    return part;
  }
}
