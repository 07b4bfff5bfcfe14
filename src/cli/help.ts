import type { CommandDef } from "citty";
import type { AnyCommand } from "../commands/command.ts";
import { type Paint, pad, wrap } from "../render/terminal.ts";
import { describe, type OptionText, optionText } from "./describe.ts";
import { GLOBALS } from "./options.ts";
import { spoken } from "./parse.ts";
import { childrenOf, type House, nameOf, wordsOf } from "./tree.ts";

/** Help is laid out for the narrowest terminal that people still meet. */
const WIDTH = 80;
/** Where descriptions begin, at most. */
const GUTTER = 30;

interface Row {
  readonly left: string;
  readonly right: string;
}

/** Two columns; what does not fit on the left pushes its description to the next line. */
function columns(rows: readonly Row[]): string[] {
  const gutter = Math.min(GUTTER, Math.max(0, ...rows.map(({ left }) => Bun.stringWidth(left) + 4)));
  return rows.flatMap(({ left, right }) => {
    const start = `  ${left}`;
    const lines = wrap(right, WIDTH - gutter);
    const apart = Bun.stringWidth(start) > gutter - 2;
    const first = right === "" ? start : apart ? undefined : pad(start, gutter) + (lines.shift() ?? "");
    const leading = first === undefined ? wrap(start, WIDTH) : [first];
    return [...leading, ...lines.filter((line) => line !== "").map((line) => " ".repeat(gutter) + line)];
  });
}

function section(heading: string, lines: readonly string[], paint: Paint): string[] {
  return lines.length === 0 ? [] : ["", `${paint("strong", heading)}:`, ...lines];
}

function optionRow(option: OptionText): Row {
  const short = option.short === undefined ? "    " : `${option.short}, `;
  const notes = [
    ...(option.description === undefined ? [] : [option.description]),
    ...(option.repeatable ? ["(repeatable)"] : []),
    ...(option.required ? ["(required)"] : []),
    ...(option.file === undefined ? [] : [`(- reads it from standard input, ${option.file} PATH from a file)`]),
    ...(option.default === undefined ? [] : [`[default: ${JSON.stringify(option.default).replaceAll('"', "")}]`]),
  ];
  return {
    left: `${short}${option.option}${option.value === undefined ? "" : ` ${option.value}`}`,
    right: notes.join(" "),
  };
}

function usageLine(usage: string, paint: Paint): string[] {
  const [first = "", ...rest] = wrap(`Usage: ${usage}`, WIDTH);
  return [first.replace("Usage:", `${paint("strong", "Usage")}:`), ...rest.map((line) => `    ${line}`)];
}

/** A long command line, continued as a shell allows: before an option, with a backslash at the end of the line. */
function continued(line: string): string[] {
  const lines: string[] = [];
  let current = "";
  for (const part of line.split(/ (?=--?[a-z])(?=(?:[^'"]|'[^']*'|"[^"]*")*$)/)) {
    if (current === "") current = part;
    else if (current.length + part.length + 1 > WIDTH - 4) {
      lines.push(`${current} \\`);
      current = `    ${part}`;
    } else current += ` ${part}`;
  }
  return [...lines, current];
}

const examplesOf = (examples: readonly { readonly line: string; readonly shows: string }[]) =>
  examples.flatMap(({ line, shows }) => [
    ...continued(line).map((part) => `  ${part}`),
    ...wrap(shows, WIDTH - 6).map((text) => `      ${text}`),
  ]);

/** `lodestar task claim --help`. */
export function commandHelp(command: AnyCommand, paint: Paint): string {
  const words = describe(command);
  const errors = (words.errors ?? []).map(({ code, exit }) => `${code} (${exit})`).join(", ");
  return [
    words.purpose,
    "",
    ...usageLine(words.usage, paint),
    ...section(
      "Arguments",
      columns((words.arguments ?? []).map(({ name, description = "" }) => ({ left: name, right: description }))),
      paint,
    ),
    ...section("Options", columns((words.options ?? []).map(optionRow)), paint),
    ...section("Examples", examplesOf(words.examples ?? []), paint),
    ...section(
      "Errors, with exit status",
      errors === "" ? [] : wrap(errors, WIDTH - 2).map((line) => `  ${line}`),
      paint,
    ),
    "",
    "Options of every command: `lodestar --help`. What it does: --explain",
  ].join("\n");
}

/** `lodestar task claim --explain`. */
export function commandExplanation(command: AnyCommand, paint: Paint): string {
  const words = describe(command);
  const errors = (words.errors ?? []).map(({ code, exit, hint }) => ({ left: `${code} (${exit})`, right: hint }));
  const effect = words.effect === "read" ? "Changes nothing." : "Writes; --idempotency-key makes trying again safe.";
  return [
    paint("strong", words.command),
    "",
    words.purpose,
    "",
    ...wrap(words.explain.trim(), WIDTH),
    "",
    effect,
    ...section("Errors, with exit status", columns(errors), paint),
    ...section("Examples", examplesOf(words.examples ?? []), paint),
  ].join("\n");
}

/** A group in words: its commands, each with its summary. */
export interface GroupDescription {
  readonly command: string;
  readonly purpose: string;
  /** What the group's name alone does, if it does something. */
  readonly explain?: string;
  readonly commands: readonly { readonly command: string; readonly purpose: string }[];
  readonly examples?: readonly { readonly line: string; readonly shows: string }[];
}

/** A first day's calls. */
const FIRST = [
  { line: "lodestar init", shows: "Set up this repository" },
  { line: "lodestar agent join --name Ada", shows: "Register, and get an agent id" },
  { line: "lodestar task next --claim --agent ID", shows: "Take the next task" },
  { line: "lodestar task done TASK --agent ID", shows: "Finish it" },
];

/** Loads the commands of a group for their summaries. */
export async function describeGroup(node: CommandDef, { registry, groups }: House): Promise<GroupDescription> {
  const name = nameOf(node);
  const own = Object.hasOwn(registry, name) ? (await registry[name]?.())?.default : undefined;
  const meta = node.meta as { readonly description?: string };
  const commands: { command: string; purpose: string }[] = [];
  for (const child of Object.values(childrenOf(node))) {
    const childName = nameOf(child);
    const purpose = groups[childName] ?? (await registry[childName]?.())?.default.summary ?? "";
    commands.push({ command: wordsOf(childName).join(" "), purpose });
  }
  return {
    command: spoken(name),
    purpose: meta.description ?? groups[name] ?? own?.summary ?? "",
    ...(own === undefined ? {} : { explain: own.explain }),
    commands,
    ...(name === "" ? { examples: FIRST } : own === undefined ? {} : { examples: own.examples }),
  };
}

/** `lodestar --help` and `lodestar task --help`; for `--explain` also what the name alone does. */
export async function groupHelp(
  node: CommandDef,
  house: House,
  paint: Paint,
  kind: "help" | "explain" = "help",
): Promise<string> {
  const { command, purpose, explain, commands, examples = [] } = await describeGroup(node, house);
  const root = nameOf(node) === "";
  const children = Object.values(childrenOf(node));
  const rows = (wanted: (node: CommandDef) => boolean) =>
    commands
      .filter((_, i) => {
        const child = children[i];
        return child !== undefined && wanted(child);
      })
      .map((entry) => ({ left: entry.command, right: entry.purpose }));
  const isGroup = (child: CommandDef) => Object.keys(childrenOf(child)).length > 0;
  return [
    purpose,
    "",
    ...usageLine(`${command} COMMAND [arguments] [options]`, paint),
    ...(kind === "explain" && explain !== undefined ? ["", ...wrap(`\`${command}\` alone: ${explain}`, WIDTH)] : []),
    ...section("Commands", columns(rows((child) => !isGroup(child))), paint),
    ...section("Groups of commands", columns(rows(isGroup)), paint),
    ...(root ? section("Options of every command", columns(GLOBALS.map(optionText).map(optionRow)), paint) : []),
    ...section("Examples", examplesOf(examples), paint),
    "",
    `More: \`${command} COMMAND --help\``,
  ].join("\n");
}
