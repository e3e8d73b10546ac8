import type { SQLInputValue } from "node:sqlite";

/** A piece of SQL with the values of its `?`, in order. Text of a caller is only ever in `params`. */
export interface Sql {
  text: string;
  params: SQLInputValue[];
}

export const TRUE: Sql = { text: "1", params: [] };
export const FALSE: Sql = { text: "0", params: [] };

export function sql(text: string, ...params: SQLInputValue[]): Sql {
  return { text, params };
}

/** The pieces one after the other. */
export function concat(separator: string, ...pieces: readonly Sql[]): Sql {
  return { text: pieces.map((piece) => piece.text).join(separator), params: pieces.flatMap((piece) => piece.params) };
}

/** Joins conditions as a balanced tree: SQLite refuses expressions deeper than 1,000, and a chain of n is n deep. */
export function join(operator: "AND" | "OR", pieces: readonly Sql[]): Sql {
  const [first] = pieces;
  if (!first) return operator === "AND" ? TRUE : FALSE;
  if (pieces.length === 1) return first;
  const middle = pieces.length >> 1;
  const left = join(operator, pieces.slice(0, middle));
  const right = join(operator, pieces.slice(middle));
  return { text: `(${left.text} ${operator} ${right.text})`, params: [...left.params, ...right.params] };
}

export function not({ text, params }: Sql): Sql {
  return { text: `NOT (${text})`, params };
}
