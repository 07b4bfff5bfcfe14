/** What a source file loads at once. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const SRC = join(import.meta.dir, "..", "..", "src");
const scanner = new Bun.Transpiler({ loader: "ts" });

/** Every file and package that a file of `src` loads at once, directly or through others: lazy imports and types are not followed. */
export function loadedBy(entry: string): string[] {
  const seen = new Set<string>();
  const queue = [join(SRC, entry)];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    if (!path.endsWith(".ts")) continue;
    for (const { kind, path: from } of scanner.scanImports(readFileSync(path, "utf8"))) {
      if (kind === "import-statement") queue.push(from.startsWith(".") ? join(dirname(path), from) : from);
    }
  }
  return [...seen].map((path) => (path.startsWith(SRC) ? relative(SRC, path) : path)).sort();
}
