import type { Database, Statement } from "bun:sqlite";

/** What a parameter may be; `undefined` is bound as null. */
export type Value = string | number | boolean | null | undefined;
export type Values = Readonly<Record<string, Value>>;

/** A database whose statements are prepared once. */
export class Sql {
  readonly db: Database;
  // Bun's own cache holds twenty statements; there are more.
  readonly #statements = new Map<string, Statement<unknown, [Record<string, string | number | boolean | null>]>>();

  constructor(db: Database) {
    this.db = db;
  }

  /** Every row. `Row` is what the statement selects: nothing checks it. */
  all<Row>(text: string, values: Values = {}): Row[] {
    return this.#prepare(text).all(bound(values)) as Row[];
  }

  /** The first row. */
  get<Row>(text: string, values: Values = {}): Row | undefined {
    return (this.#prepare(text).get(bound(values)) ?? undefined) as Row | undefined;
  }

  /** Runs a statement; answers how many rows it changed. */
  run(text: string, values: Values = {}): number {
    return this.#prepare(text).run(bound(values)).changes;
  }

  close(): void {
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
    this.db.close();
  }

  #prepare(text: string): Statement<unknown, [Record<string, string | number | boolean | null>]> {
    const known = this.#statements.get(text);
    if (known !== undefined) return known;
    const statement = this.db.prepare<unknown, [Record<string, string | number | boolean | null>]>(text);
    this.#statements.set(text, statement);
    return statement;
  }
}

function bound(values: Values): Record<string, string | number | boolean | null> {
  const out: Record<string, string | number | boolean | null> = {};
  for (const name in values) out[name] = values[name] ?? null;
  return out;
}
