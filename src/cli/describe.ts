import type { AnyCommand } from "../commands/command.ts";
import { CODES, type Code } from "../core/errors.ts";
import { AgentId } from "../core/schema.ts";
import { argumentsOf, type Field, fieldsOf, GLOBALS, globalsOf, placeholder, shownName } from "./options.ts";
import { mayBeEmpty, metavariable, spoken } from "./parse.ts";

export interface OptionText {
  /** `--ttl`, or `--no-context` for what is on by default. */
  readonly option: string;
  readonly short?: string;
  /** What its value is called; none for a flag. */
  readonly value?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly required?: true;
  readonly repeatable?: true;
  /** The option that reads its text from a file instead; `-` as the value reads standard input. */
  readonly file?: string;
}

/** A command in words: what `--help`, `--explain` and the reference pages show. */
export interface Description {
  readonly command: string;
  readonly purpose: string;
  readonly explain: string;
  readonly effect: "read" | "write";
  readonly usage: string;
  readonly arguments?: readonly { readonly name: string; readonly description?: string }[];
  readonly options?: readonly OptionText[];
  readonly errors?: readonly { readonly code: Code; readonly exit: number; readonly hint: string }[];
  readonly examples?: readonly { readonly line: string; readonly shows: string }[];
}

/** What an option does, in words. Of a flag that is on by default the option turns it off: its words say so, too. */
function aboutOf(field: Field): string | undefined {
  const { description } = field;
  // The schema of every agent id says only what it is; as an option it says who acts.
  if (field.option === "agent" && description === AgentId.description) {
    return GLOBALS.find(({ name }) => name === "agent")?.description;
  }
  if (description === undefined || shownName(field) === field.option) return description;
  return `Do not ${description.charAt(0).toLowerCase()}${description.slice(1)}`;
}

/** An option in words. */
export function optionText(field: Field): OptionText {
  const description = aboutOf(field);
  return {
    option: `--${shownName(field)}`,
    ...(field.letter === undefined ? {} : { short: `-${field.letter}` }),
    ...(field.kind === "flag" ? {} : { value: placeholder(field) }),
    ...(description === undefined ? {} : { description }),
    ...(field.default === undefined || field.kind === "flag" ? {} : { default: field.default }),
    ...(field.required ? { required: true as const } : {}),
    ...(field.many ? { repeatable: true as const } : {}),
    ...(field.long ? { file: `--${field.option}-file` } : {}),
  };
}

const filled = <T>(name: string, list: readonly T[]) => (list.length === 0 ? {} : { [name]: list });

/** Puts a command in words. */
export function describe(command: AnyCommand): Description {
  const places = argumentsOf(command);
  const options = fieldsOf(command).filter((field) => !field.byPosition && !field.hidden);
  const key = globalsOf(command).filter(({ name }) => name === "idempotency_key");
  const required = options.filter((field) => field.required);
  const usage = [
    spoken(command.name),
    ...places.filter((field) => !mayBeEmpty(field)).map(metavariable),
    ...required.map((field) => `--${shownName(field)} ${placeholder(field)}`),
    "[options]",
    ...places.filter(mayBeEmpty).map((field) => `-- ${metavariable(field)}`),
  ];
  return {
    command: spoken(command.name),
    purpose: command.summary,
    explain: command.explain,
    effect: command.effect,
    usage: usage.join(" "),
    ...filled(
      "arguments",
      places.map((field) => ({
        name: metavariable(field),
        ...(field.description === undefined ? {} : { description: field.description }),
      })),
    ),
    ...filled("options", [...options, ...key].map(optionText)),
    ...filled(
      "errors",
      command.errors.map((code) => ({ code, exit: CODES[code].exit, hint: CODES[code].hint })),
    ),
    ...filled("examples", command.examples),
  };
}
