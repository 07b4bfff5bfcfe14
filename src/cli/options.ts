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

const known = new WeakMap<AnyCommand, readonly Field[]>();

/** The input fields of a command, in the order of its schema. */
export function fieldsOf(command: AnyCommand): readonly Field[] {
  const remembered = known.get(command);
  if (remembered !== undefined) return remembered;
  const input: Node = command.input;
  const fields = Object.entries(input.properties ?? {}).map(([name, node]): Field => {
    const many = node.type === "array";
    const one = many ? (node.items ?? {}) : node;
    const letter = command.aliases[name];
    const description = node.description ?? one.description;
    return {
      name,
      option: command.options[name] ?? (name === "agent_id" ? "agent" : name.replaceAll("_", "-")),
      ...(letter === undefined ? {} : { letter }),
      kind: kindOf(one),
      many,
      choices: (one.anyOf ?? [one]).flatMap((option) => (typeof option.const === "string" ? [option.const] : [])),
      required: input.required?.includes(name) ?? false,
      byPosition: command.positional.includes(name),
      hidden: command.hidden.includes(name),
      long: command.long_text.includes(name),
      ...(node.default === undefined ? {} : { default: node.default }),
      ...(description === undefined ? {} : { description }),
      schema: one,
    };
  });
  known.set(command, fields);
  return fields;
}

/** The fields given by position, in that order. */
export function argumentsOf(command: AnyCommand): readonly Field[] {
  const fields = fieldsOf(command);
  return command.positional.flatMap((name) => fields.find((field) => field.name === name) ?? []);
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
