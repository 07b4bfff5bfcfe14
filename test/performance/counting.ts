/**
 * Loaded before the program (`bun --preload`), counts what a call loads and asks of the databases, and writes it as JSON to the file that
 * `LODESTAR_COUNTS` names when the call ends.
 */
import { Database } from "bun:sqlite";
import { readFileSync, writeFileSync } from "node:fs";

/** What one call took, as the program itself can tell. */
export interface Loaded {
  readonly modules: readonly string[];
  readonly packages: readonly string[];
  /** Of the modules and packages, without comments and white space. */
  readonly module_bytes: number;
  readonly statements: number;
}

let statements = 0;

const EXECUTING = ["run", "exec", "all", "get", "values", "iterate"] as const;
type Executing = Record<(typeof EXECUTING)[number], (...values: unknown[]) => unknown>;
const watched = new WeakSet<object>();

/** Has a statement, or a database, count what is executed through it. */
function watch(target: object): void {
  if (watched.has(target)) return;
  watched.add(target);
  const methods = target as Partial<Executing>;
  for (const name of EXECUTING) {
    const method = methods[name];
    if (method === undefined) continue;
    methods[name] = function (this: unknown, ...values: unknown[]) {
      statements += 1;
      return method.apply(this, values);
    };
  }
}

for (const name of ["prepare", "query"] as const) {
  const made = Database.prototype[name] as (...values: unknown[]) => object;
  Object.assign(Database.prototype, {
    [name](this: Database, ...values: unknown[]) {
      const statement = made.apply(this, values);
      watch(statement);
      return statement;
    },
  });
}
watch(Database.prototype);

/** A module without comments and white space. */
function bytesOf(path: string): number {
  const loader = path.endsWith("ts") ? "ts" : "js";
  return new Bun.Transpiler({ loader, minifyWhitespace: true }).transformSync(readFileSync(path, "utf8")).length;
}

process.on("exit", () => {
  const file = process.env.LODESTAR_COUNTS;
  if (file === undefined) return;
  // Modules of both kinds are listed there, however they were asked for.
  const paths = Object.keys(require.cache).filter((path) => /\/(?:src|node_modules)\/.*\.[cm]?[jt]s$/.test(path));
  const packageOf = (path: string) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
  const counts: Loaded = {
    modules: paths
      .filter((path) => packageOf(path) === undefined)
      .map((path) => path.replace(/^.*\/src\//, ""))
      .sort(),
    packages: [...new Set(paths.flatMap((path) => packageOf(path) ?? []))].sort(),
    module_bytes: paths.reduce((sum, path) => sum + bytesOf(path), 0),
    statements,
  };
  writeFileSync(file, JSON.stringify(counts));
});
