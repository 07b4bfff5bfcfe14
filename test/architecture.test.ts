/** Keeps the table "Who may import whom" of the architecture true. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

interface Source {
  /** From `src/`, such as `core/errors.ts`. */
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** The rule of one folder: which of our files it may import (folders end in `/`), and which packages. */
interface Rule {
  readonly ours: readonly string[];
  /** Ours, but only as types. */
  readonly types?: readonly string[];
  readonly packages: readonly (string | RegExp)[];
}

const BUILT_IN = /^node:(?!process$|sqlite$|console$)/;
const DRIVERS = ["bun:sqlite"];
/** Where SQL may be spoken. */
const SPEAKS_SQL = ["runtime/sqlite/", "runtime/postgres/", "spec/index.ts", "spec/lock.ts"];
/** These build everything out of the process; no one else touches it. */
const ROOTS = ["main.ts", "start.ts", "wire.ts"];

const RULES: Readonly<Record<string, Rule>> = {
  core: { ours: ["core/", "../package.json"], packages: ["@sinclair/typebox"] },
  spec: { ours: ["core/", "spec/"], packages: [BUILT_IN, "yaml", "bun:ffi"] },
  lease: { ours: ["core/", "lease/"], packages: [] },
  prd: { ours: ["core/", "prd/"], packages: [BUILT_IN, "diff", "github-slugger", "markdown-it"] },
  git: { ours: ["core/", "git/"], packages: [BUILT_IN] },
  runtime: { ours: ["core/", "lease/", "runtime/"], packages: [BUILT_IN] },
  commands: {
    ours: ["core/", "spec/", "lease/", "prd/", "git/", "runtime/store.ts", "commands/"],
    packages: [BUILT_IN],
  },
  render: { ours: ["core/", "render/"], types: ["commands/command.ts"], packages: ["consola/utils", "@viz-js/viz"] },
  cli: { ours: ["core/", "commands/", "render/", "cli/"], packages: ["citty"] },
  mcp: { ours: ["core/", "commands/", "render/", "mcp/"], packages: [BUILT_IN, /^@modelcontextprotocol\//] },
  web: { ours: ["core/", "commands/", "render/", "web/"], packages: [BUILT_IN, "@viz-js/viz"] },
};

/**
 * The source without its comments, and without the contents of its texts when `texts` is false. A small scanner instead
 * of a parser: it knows comments, quotes, templates with what they embed, and regular expressions by what stands before them.
 */
function strip(source: string, texts: boolean): string {
  let out = "";
  let i = 0;
  const templates: number[] = [];
  let depth = 0;
  const quoted = (end: string) => {
    const start = i++;
    while (i < source.length && source[i] !== end) i += source[i] === "\\" ? 2 : 1;
    i++;
    out += texts ? source.slice(start, i) : `${end}${end}`;
  };
  const template = () => {
    for (; i < source.length; i++) {
      if (source[i] === "\\") i++;
      else if (source[i] === "`") {
        i++;
        out += "`";
        return;
      } else if (source[i] === "$" && source[i + 1] === "{") {
        i += 2;
        templates.push(depth++);
        out += "${";
        return;
      }
    }
  };
  while (i < source.length) {
    const character = source[i] ?? "";
    const two = source.slice(i, i + 2);
    if (two === "//") i = (source.indexOf("\n", i) + 1 || source.length + 1) - 1;
    else if (two === "/*") {
      i = source.indexOf("*/", i) + 2;
      out += " ";
    } else if (character === '"' || character === "'") quoted(character);
    else if (character === "`") {
      i++;
      out += "`";
      template();
    } else if (character === "/" && /(?:^|[=(,:[!&|?{};>\n]|\breturn)\s*$/.test(out)) {
      for (let inClass = false; ++i < source.length; ) {
        if (source[i] === "\\") i++;
        else if (source[i] === "[") inClass = true;
        else if (source[i] === "]") inClass = false;
        else if (source[i] === "/" && !inClass) break;
      }
      i++;
      out += "/re/";
    } else {
      i++;
      out += character;
      if (character === "{") depth++;
      if (character === "}" && --depth === templates.at(-1)) {
        templates.pop();
        template();
      }
    }
  }
  return out;
}

/** Every import of a source, `import type`, `export … from`, `import()` and `import()` in types included. */
function importsOf(text: string): Import[] {
  const code = strip(text, true);
  const found: Import[] = [];
  const statement =
    /(?<![.\w"'$])(?:import|export)\b\s*(type\b(?!\s*,|\s+from\b))?\s*((?:[\w$*\s,]|\{[^}]*\})*?)\s*(?:\bfrom\s*)?(["'])([^"'\n]+)\3/g;
  for (const [, type, names = "", , from = ""] of code.matchAll(statement)) {
    const inner = /^\{([^}]*)\}$/
      .exec(names.trim())?.[1]
      ?.split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
    const typeOnly =
      type !== undefined ||
      (inner !== undefined && inner.length > 0 && inner.every((name) => name.startsWith("type ")));
    found.push({ from, typeOnly });
  }
  for (const [, , from = ""] of code.matchAll(/\b(?:import|require)\s*\(\s*(["'`])([^"'`]+)\1/g))
    found.push({ from, typeOnly: false });
  return found;
}

const FORBIDDEN: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: "process", pattern: /(?<![.\w$])process\b(?!\s*[:(])/ },
  { what: "console", pattern: /(?<![.\w$])console\s*[.[]/ },
  { what: "Date.now", pattern: /\bDate\s*\.\s*now\b|\bnew Date\(\s*\)|\bperformance\s*\.\s*now\b/ },
  { what: "Bun.env", pattern: /\bBun\s*\.\s*(?:env|argv)\b|\bimport\s*\.\s*meta\s*\.\s*env\b/ },
];

/** What in these sources breaks the rules; nothing when all is well. */
function violations(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => violationsOf(source));
}

function violationsOf({ path, text }: Source): string[] {
  if (ROOTS.includes(path)) return [];
  const folder = path.includes("/") ? (path.split("/")[0] ?? "") : "";
  const rule = RULES[folder];
  if (rule === undefined)
    return [`${path}: no rule says what ${folder === "" ? "a file here" : `${folder}/`} may import`];
  const broken: string[] = [];
  for (const { from, typeOnly } of importsOf(text)) {
    if (from.startsWith(".")) {
      const target = posix.normalize(posix.join(posix.dirname(path), from));
      const fits = (allowed: string) => (allowed.endsWith("/") ? target.startsWith(allowed) : target === allowed);
      if (!rule.ours.some(fits) && !(typeOnly && rule.types?.some(fits))) broken.push(`${path} imports ${target}`);
      const face = ["cli/", "mcp/", "web/"].find((one) => target.startsWith(one));
      if (face !== undefined && !path.startsWith(face)) broken.push(`${path} imports the face ${target}`);
    } else if (DRIVERS.includes(from)) {
      if (!SPEAKS_SQL.some((place) => path.startsWith(place))) broken.push(`${path} imports the driver ${from}`);
    } else if (!rule.packages.some((one) => (typeof one === "string" ? one === from : one.test(from)))) {
      broken.push(`${path} imports the package ${from}`);
    }
  }
  const code = strip(text, false);
  for (const { what, pattern } of FORBIDDEN) if (pattern.test(code)) broken.push(`${path} uses ${what}`);
  if (/\bBun\s*\.\s*(?:SQL|sql)\b/.test(code) && !SPEAKS_SQL.some((place) => path.startsWith(place))) {
    broken.push(`${path} speaks SQL`);
  }
  return broken;
}

function read(folder: string): Source[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path: path.replaceAll("\\", "/"), text: readFileSync(join(folder, path), "utf8") }));
}

test("every file of src imports only what its folder may", () => {
  const sources = read(join(import.meta.dir, "..", "src"));
  expect(sources.length).toBeGreaterThan(20);
  expect(violations(sources)).toEqual([]);
});

describe("the test can fail:", () => {
  const cases: readonly (readonly [string, Source, string])[] = [
    [
      "core reaches outwards",
      { path: "core/x.ts", text: `import { a } from "../spec/model.ts";` },
      "core/x.ts imports spec/model.ts",
    ],
    [
      "by type alone",
      { path: "core/x.ts", text: `import type { A } from "../spec/model.ts";` },
      "core/x.ts imports spec/model.ts",
    ],
    [
      "by a type of a type",
      { path: "core/x.ts", text: `type A = import("../spec/model.ts").A;` },
      "core/x.ts imports spec/model.ts",
    ],
    ["by export", { path: "core/x.ts", text: `export * from "../spec/model.ts";` }, "core/x.ts imports spec/model.ts"],
    [
      "lazily",
      { path: "core/x.ts", text: `const a = await import("../spec/model.ts");` },
      "core/x.ts imports spec/model.ts",
    ],
    [
      "over several lines",
      { path: "lease/x.ts", text: `import {\n  type A,\n  b,\n} from "../runtime/store.ts";` },
      "lease/x.ts imports runtime/store.ts",
    ],
    ["core takes a package", { path: "core/x.ts", text: `import "yaml";` }, "core/x.ts imports the package yaml"],
    [
      "a command takes a driver",
      { path: "commands/task/x.ts", text: `import { Database } from "bun:sqlite";` },
      "commands/task/x.ts imports the driver bun:sqlite",
    ],
    [
      "a command takes a store",
      { path: "commands/x.ts", text: `import { a } from "../runtime/sqlite/store.ts";` },
      "commands/x.ts imports runtime/sqlite/store.ts",
    ],
    [
      "a command looks at the process",
      { path: "commands/x.ts", text: "const a = process.env.A;" },
      "commands/x.ts uses process",
    ],
    [
      "inside a template",
      { path: "commands/x.ts", text: `const a = \`\${process.pid}\`;` },
      "commands/x.ts uses process",
    ],
    ["a command prints", { path: "commands/x.ts", text: `console.log("a");` }, "commands/x.ts uses console"],
    [
      "a command asks the clock",
      { path: "commands/x.ts", text: "const a = Date.now();" },
      "commands/x.ts uses Date.now",
    ],
    [
      "render runs a command",
      { path: "render/x.ts", text: `import { command } from "../commands/command.ts";` },
      "render/x.ts imports commands/command.ts",
    ],
    [
      "a face takes a store",
      { path: "cli/x.ts", text: `import type { S } from "../runtime/store.ts";` },
      "cli/x.ts imports runtime/store.ts",
    ],
    [
      "a face takes a face",
      { path: "mcp/x.ts", text: `import { a } from "../cli/run.ts";` },
      "mcp/x.ts imports cli/run.ts",
    ],
    [
      "SQL elsewhere in spec",
      { path: "spec/plane.ts", text: `import { Database } from "bun:sqlite";` },
      "spec/plane.ts imports the driver bun:sqlite",
    ],
    ["a folder without a rule", { path: "utils/x.ts", text: "" }, "utils/x.ts: no rule says what utils/ may import"],
  ];
  test.each(cases)("%s", (_name, source, expected) => {
    expect(violations([source])).toContain(expected);
  });

  test("but not at what is allowed, nor at comments and texts", () => {
    const text = [
      `import { LodestarError } from "../core/errors.ts"; // import "yaml";`,
      `/* process.env, import x from "../cli/run.ts" */`,
      `const a = "process.env and Date.now()"; const b = /"process/; const c = { process: 1 }; const d = x.process;`,
      `const e = \`console.log \${a} process.env\`;`,
    ].join("\n");
    expect(violations([{ path: "commands/x.ts", text }])).toEqual([]);
    const types = `import type { AnyCommand } from "../commands/command.ts";\nimport { type Tone } from "../core/view.ts";`;
    expect(violations([{ path: "render/x.ts", text: types }])).toEqual([]);
    expect(violations([{ path: "wire.ts", text: "Date.now(); process.env" }])).toEqual([]);
  });
});
