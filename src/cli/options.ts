import type { AnyCommand } from "../commands/command.ts";
import { DURATION_PATTERN } from "../core/time.ts";

/** How the text of an option becomes a value. */
export type Kind = "flag" | "text" | "integer" | "number" | "choice" | "duration" | "json";

/** One input field of a command as the command line has it: an option or an argument by position. */
export interface Field {
  /** Key in the input, or name of the global. */
  readonly name: string;
  /** Name of the option without its dashes. */
  readonly option: string;
  /** Letter of the short option. */
  readonly letter?: string;
  readonly kind: Kind;
  /** May be given more than once; the value is a list. */
  readonly many: boolean;
  readonly choices: readonly string[];
  readonly required: boolean;
  readonly byPosition: boolean;
  readonly hidden: boolean;
  /** May be read from standard input or from a file. */
  readonly long: boolean;
  readonly default?: unknown;
  readonly description?: string;
  /** Schema of one value, for its limits. */
  readonly schema: object;
}

/** What we read of a JSON Schema. */
interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly description?: string;
}

function kindOf(node: Node): Kind {
  if (node.anyOf !== undefined) {
    if (node.anyOf.every((option) => typeof option.const === "string")) return "choice";
    if (node.anyOf.some((option) => option.type === "string")) return "text";
    const first = node.anyOf[0];
    return first === undefined ? "json" : kindOf(first);
  }
  if (typeof node.const === "string") return "choice";
  switch (node.type) {
    case "boolean":
      return "flag";
    case "integer":
      return "integer";
    case "number":
      return "number";
    case "string":
      return node.pattern === DURATION_PATTERN ? "duration" : "text";
    default:
      return "json";
  }
}

/** Name of the option of a field. */
const optionName = (command: AnyCommand, name: string): string =>
  command.options[name] ?? (name === "agent_id" ? "agent" : name.replaceAll("_", "-"));

/** Names of a command's input fields, in the order of its schema. */
export const fieldNames = (command: AnyCommand): readonly string[] =>
  Object.keys((command.input as Node).properties ?? {});

/** Names of the fields that a call must give. */
export const requiredNames = (command: AnyCommand): readonly string[] => (command.input as Node).required ?? [];

const known = new WeakMap<AnyCommand, Map<string, Field>>();

/** One input field of a command; made when asked for, since a call gives few of them. */
export function fieldOf(command: AnyCommand, name: string): Field | undefined {
  const input: Node = command.input;
  const node =
    input.properties !== undefined && Object.hasOwn(input.properties, name) ? input.properties[name] : undefined;
  if (node === undefined) return undefined;
  let fields = known.get(command);
  if (fields === undefined) {
    fields = new Map();
    known.set(command, fields);
  }
  let field = fields.get(name);
  if (field !== undefined) return field;
  const many = node.type === "array";
  const one = many ? (node.items ?? {}) : node;
  const letter = command.aliases[name];
  const description = node.description ?? one.description;
  field = {
    name,
    option: optionName(command, name),
    ...(letter === undefined ? {} : { letter }),
    kind: kindOf(one),
    many,
    choices: (one.anyOf ?? [one]).flatMap((option) => (typeof option.const === "string" ? [option.const] : [])),
    required: requiredNames(command).includes(name),
    byPosition: command.positional.includes(name),
    hidden: command.hidden.includes(name),
    long: command.long_text.includes(name),
    ...(node.default === undefined ? {} : { default: node.default }),
    ...(description === undefined ? {} : { description }),
    schema: one,
  };
  fields.set(name, field);
  return field;
}

/** The input fields of a command, in the order of its schema. */
export const fieldsOf = (command: AnyCommand): readonly Field[] =>
  fieldNames(command).flatMap((name) => fieldOf(command, name) ?? []);

/** The fields given by position, in that order. */
export const argumentsOf = (command: AnyCommand): readonly Field[] =>
  command.positional.flatMap((name) => fieldOf(command, name) ?? []);

/** What an option's name leads to: its field, and what giving it without a value means. */
export interface Entry {
  readonly field: Field;
  /** Value of a flag given so; `undefined`: takes a value. */
  readonly flag?: boolean;
  /** The value is the path of a file that holds the text. */
  readonly file?: true;
  /** Also a global (or only one). */
  readonly global?: Field;
}

/** `force` is turned off by `no-force`, `no-color` by `color`. */
export const oppositeOf = (option: string): string => (option.startsWith("no-") ? option.slice(3) : `no-${option}`);

/**
 * What an option as it was written (`--name`, `--no-name`, `--name-file`, `-n`) means to a command. A field of the command wins over a
 * global, and what is a name of its own over the opposite of another.
 */
export function entryOf(command: AnyCommand, written: string): Entry | undefined {
  const isLong = written.startsWith("--");
  const word = written.slice(isLong ? 2 : 1);
  const global = globalsOf(command).find((each) => (isLong ? each.option : each.letter) === word);
  const names = fieldNames(command);
  const byPosition = (name: string): boolean => command.positional.includes(name);
  const find = (fits: (name: string) => boolean): Field | undefined => {
    const name = names.find((each) => fits(each) && !byPosition(each));
    return name === undefined ? undefined : fieldOf(command, name);
  };
  const field = find((name) => (isLong ? optionName(command, name) : command.aliases[name]) === word);
  if (field !== undefined)
    return entryFor(field, isLong ? global : GLOBALS.find(({ option }) => option === field.option));
  if (global !== undefined) return entryFor(global, global);
  if (!isLong) return undefined;
  if (word.endsWith("-file")) {
    const text = find((name) => command.long_text.includes(name) && `${optionName(command, name)}-file` === word);
    if (text !== undefined) return { field: text, file: true };
  }
  const opposite = find((name) => oppositeOf(optionName(command, name)) === word);
  return opposite?.kind === "flag" ? { field: opposite, flag: false } : undefined;
}

function entryFor(field: Field, global: Field | undefined): Entry {
  const entry: Entry = field.kind === "flag" ? { field, flag: true } : { field };
  return global === undefined ? entry : { ...entry, global };
}

/** Every way of writing an option of `command`, and what it means. */
export function entriesOf(command: AnyCommand): Map<string, Entry> {
  const own = fieldsOf(command).filter((field) => !field.byPosition);
  const names = [...globalsOf(command), ...own].flatMap((field) => [
    `--${field.option}`,
    ...(field.letter === undefined ? [] : [`-${field.letter}`]),
    ...(field.kind === "flag" && own.includes(field) ? [`--${oppositeOf(field.option)}`] : []),
    ...(field.long ? [`--${field.option}-file`] : []),
  ]);
  const entries = new Map<string, Entry>();
  for (const name of names) {
    const entry = entryOf(command, name);
    if (entry !== undefined) entries.set(name, entry);
  }
  return entries;
}

const global = (
  name: string,
  kind: "flag" | "text",
  description: string,
  more: { option?: string; letter?: string } = {},
): Field => ({
  name,
  option: more.option ?? name.replaceAll("_", "-"),
  ...(more.letter === undefined ? {} : { letter: more.letter }),
  kind,
  many: false,
  choices: [],
  required: false,
  byPosition: false,
  hidden: false,
  long: false,
  description,
  schema: kind === "flag" ? { type: "boolean" } : { type: "string", minLength: 1 },
});

/** Options that every command takes (`idempotency_key`: every command that writes). */
export const GLOBALS: readonly Field[] = [
  global("json", "flag", "Answer with one JSON envelope"),
  global("fields", "text", "With --json: only these fields of each item, such as id,title"),
  global("repo", "text", "Work as if started in this directory", { letter: "C" }),
  global("agent", "text", "Who is acting (or LODESTAR_AGENT)"),
  global("idempotency_key", "text", "The same key twice gives the first answer again"),
  global("schema", "flag", "Print the JSON Schema of input and output"),
  global("explain", "flag", "Say what the command does, changes and may refuse"),
  global("no_color", "flag", "Plain text (or NO_COLOR)"),
  global("quiet", "flag", "Only the result: no warnings, no next steps"),
  global("help", "flag", "Show help", { letter: "h" }),
  global("version", "flag", "Show the version", { letter: "v" }),
];

/** The globals that `command` takes. */
export function globalsOf(command: AnyCommand): readonly Field[] {
  return command.effect === "write" ? GLOBALS : GLOBALS.filter(({ name }) => name !== "idempotency_key");
}

/** How the help shows the value of an option: `ID`, `N`, `DUR`, `info|warning`. */
export function placeholder(field: Field): string {
  const { description = "" } = field.schema as Node;
  switch (field.kind) {
    case "choice":
      return field.choices.join("|");
    case "integer":
    case "number":
      return "N";
    case "duration":
      return "DUR";
    case "json":
      return "JSON";
    default:
      // The schema of every id says so: "Task id", "Agent id".
      if (/(^| )id$/i.test(description) || field.option === "agent") return "ID";
      if (field.option === "repo") return "DIR";
      if (field.long) return "TEXT";
      return (field.option.split("-").pop() ?? field.option).toUpperCase();
  }
}

/** A boolean that is on by default is shown as what turns it off. */
export function shownName(field: Field): string {
  return field.kind === "flag" && field.default === true ? `no-${field.option}` : field.option;
}
