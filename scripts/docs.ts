/**
 * Writes docs/reference/ from the registry of commands and the table of error codes, and the page and the plot of docs/performance/ from
 * what a benchmark found, or compares (`--check`). With `--site` it
 * also builds README.md and docs/ as a static site, dist/site/.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import packageJson from "../package.json";
import { describe, type OptionText, optionText } from "../src/cli/describe.ts";
import { GLOBALS } from "../src/cli/options.ts";
import { wordsOf } from "../src/cli/tree.ts";
import type { AnyCommand } from "../src/commands/command.ts";
import { GROUPS, REGISTRY } from "../src/commands/registry.ts";
import { CODES } from "../src/core/errors.ts";
import { escapeMarkdown, fenced, markdownTable } from "../src/render/markdown.ts";
import { plot } from "./bench/plot.ts";
import { FOLDER as MEASURED, readResults, resultsPage } from "./bench/results.ts";
import { readRuntimeResults, runtimePage } from "./bench/runtime-results.ts";
import { writeSite } from "./site.ts";
import { readReport, torturePage } from "./torture/report.ts";

const FOLDER = join(import.meta.dir, "..", "docs", "reference");
const MARK = "<!-- Written by scripts/docs.ts (bun run docs). Change the command instead. -->";
const TORTURE_MARK =
  "<!-- Written by scripts/docs.ts (bun run docs) from torture.json, which `bun run torture --report` writes. -->";
/** Page of the commands that stand in no group. */
const TOP = "lodestar";

const code = (text: string) => `\`${text}\``;
/** A pipe would end a table's cell, also inside a code span. */
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function optionRow(option: OptionText): string[] {
  const names = [option.short, option.option].filter((name) => name !== undefined).join(", ");
  const notes = [
    ...(option.description === undefined ? [] : [prose(option.description).replaceAll("\n", " ")]),
    ...(option.repeatable ? ["repeatable"] : []),
    ...(option.required ? ["required"] : []),
    ...(option.file === undefined
      ? []
      : [`${code("-")} reads it from standard input, ${code(`${option.file} PATH`)} from a file`]),
    ...(option.default === undefined ? [] : [`default ${code(String(option.default))}`]),
  ];
  return [code(cell(`${names}${option.value === undefined ? "" : ` ${option.value}`}`)), notes.join("; ")];
}

/** Text of a command (which may hold `code` in backticks) as Markdown. */
const prose = (words: string) =>
  words
    .split(/(`[^`\n]+`)/)
    .map((part, i) => (i % 2 === 1 ? part : escapeMarkdown(part)))
    .join("");

interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: boolean | Node;
}

/** A schema as a TypeScript type: shorter than JSON Schema, and read at a glance. */
function shape(node: Node, indent = ""): string {
  if (node.anyOf !== undefined) return node.anyOf.map((option) => shape(option, indent)).join(" | ");
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.type === "array") {
    const item = shape(node.items ?? {}, indent);
    return item.includes(" | ") && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
  }
  if (node.type === "integer") return "number";
  if (node.type !== "object") return node.type ?? "unknown";
  const inner = `${indent}  `;
  const open =
    Object.values(node.patternProperties ?? {})[0] ??
    (typeof node.additionalProperties === "object" ? node.additionalProperties : undefined);
  const fields = Object.entries(node.properties ?? {}).map(
    ([name, value]) => `${inner}${name}${node.required?.includes(name) ? "" : "?"}: ${shape(value, inner)}`,
  );
  if (open !== undefined) fields.push(`${inner}[name: string]: ${shape(open, inner)}`);
  return fields.length === 0 ? "{}" : `{\n${fields.join("\n")}\n${indent}}`;
}

function commandSection(command: AnyCommand): string {
  const words = describe(command);
  const parts = [
    `## ${wordsOf(command.name).at(-1)}`,
    `${prose(words.purpose)}.`,
    fenced(words.usage, "text"),
    prose(words.explain.trim()),
    words.effect === "read" ? "Changes nothing." : "Writes; takes `--idempotency-key`.",
  ];
  if (words.arguments !== undefined) {
    const rows = words.arguments.map(({ name, description = "" }) => [
      code(name),
      prose(description).replaceAll("\n", " "),
    ]);
    parts.push(markdownTable(["argument", "what"], rows));
  }
  if (words.options !== undefined) parts.push(markdownTable(["option", "what"], words.options.map(optionRow)));
  if (words.examples !== undefined) {
    parts.push(fenced(words.examples.map(({ line, shows }) => `# ${shows}\n${line}`).join("\n\n"), "sh"));
  }
  parts.push("`data` of the answer:", fenced(shape(command.output), "ts"));
  if (words.errors !== undefined) {
    const links = words.errors.map(({ code: name }) => `[${code(name)}](errors.md#${name.toLowerCase()})`);
    parts.push(`Errors: ${links.join(", ")}.`);
  }
  return parts.join("\n\n");
}

async function pages(): Promise<Map<string, string>> {
  const byGroup = new Map<string, string[]>();
  for (const [name, load] of Object.entries(REGISTRY)) {
    // A command that is called like a group (`lodestar task`) stands first on the group's page.
    const group = name.includes(".") ? (name.split(".")[0] ?? TOP) : name in GROUPS ? name : TOP;
    const sections = byGroup.get(group) ?? [];
    const section = commandSection((await load()).default);
    byGroup.set(group, name === group ? [section, ...sections] : [...sections, section]);
  }
  const found = new Map<string, string>();
  for (const [group, sections] of byGroup) {
    const title = group === TOP ? "# lodestar" : `# lodestar ${group}`;
    const summary = group === TOP ? "The commands that stand in no group." : `${GROUPS[group] ?? ""}.`;
    const globals =
      group === TOP
        ? [
            `## Options of every command\n\n${markdownTable(["option", "what"], GLOBALS.map(optionText).map(optionRow))}`,
          ]
        : [];
    found.set(`${group}.md`, `${[title, MARK, summary, ...globals, ...sections].join("\n\n")}\n`);
  }
  found.set("errors.md", errorsPage());
  found.set("torture.md", torturePage(readReport(), TORTURE_MARK));
  const [results, runtimes] = [readResults(MEASURED), readRuntimeResults(MEASURED)];
  if (results !== undefined) {
    found.set("../performance/results.md", resultsPage(results, runtimes !== undefined));
    found.set("../performance/plot.svg", plot(results));
  }
  if (runtimes !== undefined) found.set("../performance/runtime.md", runtimePage(runtimes));
  return found;
}

function errorsPage(): string {
  const rows = Object.entries(CODES).map(([name, { exit, retriable, hint }]) => [
    `<a id="${name.toLowerCase()}"></a>${code(name)}`,
    String(exit),
    retriable ? "yes" : "no",
    cell(hint),
  ]);
  return `${[
    "# Errors",
    MARK,
    "`error.code` of the envelope and the exit status of the process. A released code keeps its meaning. *Again?* says whether trying the same call again can help.",
    markdownTable(["code", "exit", "again?", "what to do"], rows),
  ].join("\n\n")}\n`;
}

/** Pages of an earlier run that no command asks for any more. */
function stale(wanted: ReadonlyMap<string, string>): string[] {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER).filter(
    (name) => name.endsWith(".md") && !wanted.has(name) && readFileSync(join(FOLDER, name), "utf8").includes(MARK),
  );
}

const wanted = await pages();
const current = (name: string) =>
  existsSync(join(FOLDER, name)) ? readFileSync(join(FOLDER, name), "utf8") : undefined;
const changed = [...wanted].filter(([name, text]) => current(name) !== text).map(([name]) => name);
const gone = stale(wanted);
if (process.argv.includes("--check")) {
  for (const name of [...changed, ...gone])
    console.error(`${posix.join("docs/reference", name)} is not current; run \`bun run docs\`.`);
  process.exit(changed.length + gone.length === 0 ? 0 : 1);
}
mkdirSync(FOLDER, { recursive: true });
for (const name of changed) writeFileSync(join(FOLDER, name), wanted.get(name) ?? "");
for (const name of gone) rmSync(join(FOLDER, name));
console.log(`docs/reference: ${changed.length} written, ${gone.length} removed, ${wanted.size} in all`);
if (process.argv.includes("--site")) {
  const root = join(FOLDER, "..", "..");
  const count = writeSite(root, join(root, "dist", "site"), packageJson.version);
  console.log(`dist/site: ${count} files; begin with index.html`);
}
