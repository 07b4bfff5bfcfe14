/**
 * Few chunks for the calls that come thousands of times a day. The bundler makes a chunk for each set of lazy imports that reach a
 * module, and with so many commands each module has a set of its own: a call loaded some thirty of them, each at a price. Here every
 * file that is imported lazily, and reaches one module of a group, is made to reach all of it: a group is then one chunk.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

/** Each group is what its files load at once, without the groups before it. */
export const GROUPS: readonly { readonly name: string; readonly files: readonly string[] }[] = [
  {
    name: "also of a hook that finds nothing to do",
    files: ["core/glob-prefix.ts", "runtime/sqlite/schema-version.ts", "runtime/sqlite/time-of.ts"],
  },
  {
    name: "every call",
    files: [
      "cli/run.ts",
      "commands/registry.ts",
      "wire.ts",
      "commands/look.ts",
      "commands/task/shapes.ts",
      "commands/task/offers.ts",
      "commands/task/claim-answer.ts",
      "commands/set-up.ts",
      "runtime/sqlite/open.ts",
    ],
  },
  {
    name: "a lease is granted or ends",
    files: [
      "commands/settle-up.ts",
      "commands/task/claiming.ts",
      "commands/task/lease-call.ts",
      "runtime/sqlite/claim.ts",
      "runtime/sqlite/holding.ts",
    ],
  },
  { name: "an outcome", files: ["commands/task/finishing.ts", "runtime/sqlite/finish.ts"] },
  { name: "the spec is saved", files: ["spec/document.ts", "spec/file.ts", "spec/lock.ts", "spec/swap.ts"] },
];

const scanner = new Bun.Transpiler({ loader: "ts" });

interface Imports {
  readonly statics: readonly string[];
  readonly lazies: readonly string[];
}

/** What each source file imports, as paths in `src`; types are no imports. */
function readImports(src: string): ReadonlyMap<string, Imports> {
  const files = (readdirSync(src, { recursive: true }) as string[]).filter((path) => /(?<!\.d)\.ts$/.test(path));
  const imports = files.map((path): [string, Imports] => {
    const found = scanner
      .scanImports(readFileSync(join(src, path), "utf8"))
      .filter((each) => each.path.startsWith(".") && each.path.endsWith(".ts"));
    const of = (kind: string) =>
      found.filter((each) => each.kind === kind).map((each) => slashes(join(dirname(path), each.path)));
    return [slashes(path), { statics: of("import-statement"), lazies: of("dynamic-import") }];
  });
  return new Map(imports);
}

const slashes = (path: string) => path.replaceAll(sep, "/");

/** These files, and all that they load at once. */
function reached(imports: ReadonlyMap<string, Imports>, from: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const queue = [...from];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const found = imports.get(path);
    if (found === undefined || seen.has(path)) continue;
    seen.add(path);
    queue.push(...found.statics);
  }
  return seen;
}

/** The groups' modules; a module is in the first group that reaches it. */
export function members(src: string): readonly (readonly string[])[] {
  const imports = readImports(src);
  const taken = new Set<string>();
  return GROUPS.map(({ files }) => {
    const missing = files.filter((path) => !imports.has(path));
    if (missing.length > 0) throw new Error(`A group of chunks names files that are not in src: ${missing.join(", ")}`);
    const own = [...reached(imports, files)].filter((path) => !taken.has(path)).sort();
    for (const path of own) taken.add(path);
    return own;
  });
}

/**
 * Copies the sources so that the bundler makes one chunk of each group.
 *
 * @param root the project's folder.
 * @param folder where the copy goes: inside of `root`, so that packages are found.
 * @param entry a file below `root`, copied too when it is outside of `src`.
 * @returns the entry's path, from `folder`.
 */
export function stage(root: string, folder: string, entry: string): string {
  const src = join(root, "src");
  const imports = readImports(src);
  const groups = members(src);
  const lazy = new Set([...imports.values()].flatMap(({ lazies }) => lazies));
  cpSync(src, join(folder, "src"), { recursive: true });
  for (const path of lazy) {
    const reach = reached(imports, [path]);
    const whole = groups.filter((group) => group.some((member) => reach.has(member))).flat();
    const added = whole
      .filter((member) => member !== path)
      .map((member) => `import ${JSON.stringify(slashes(relative(dirname(path), member)).replace(/^(?!\.)/, "./"))};`);
    const file = join(folder, "src", path);
    // On the first line: those of the file keep their numbers.
    if (added.length > 0) writeFileSync(file, `${added.join("")}${readFileSync(file, "utf8")}`);
  }
  for (const path of ["package.json", ...(entry.startsWith("src/") ? [] : [entry])]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  return entry;
}
