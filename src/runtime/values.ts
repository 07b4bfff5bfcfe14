/** JSON text of a column; absent stays null. */
export function json(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

/** A list of strings as it was written. @throws SyntaxError when the column holds something else. */
export function readList(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
    throw new SyntaxError("A list was expected.");
  return value;
}

/** A record as it was written. @throws SyntaxError when the column holds something else. */
export function readRecord(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new SyntaxError("A record was expected.");
  return value as Record<string, unknown>;
}

type Nullable<T> = { [K in keyof T]: null extends T[K] ? K : undefined extends T[K] ? K : never }[keyof T];
/** A row whose nullable columns have become optional fields. */
export type Present<T> = Omit<T, Nullable<T>> & { [K in Nullable<T>]?: Exclude<T[K], null | undefined> };

/** The object without its null and undefined fields: rows have nulls, our values leave such fields out. */
export function present<T extends object>(row: T): Present<T> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) if (value !== null && value !== undefined) out[name] = value;
  return out as Present<T>;
}
