import type { AnyCommand } from "../commands/command.ts";
import { quote } from "../core/shell.ts";
import { argumentsOf, type Field, fieldNames, fieldOf, oppositeOf, placeholder, requiredNames } from "./options.ts";
import { looksLikeOption, placeName, spoken } from "./parse.ts";

const textOf = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function optionWords(field: Field, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (field.kind === "flag") {
    if (value === true) return field.default === true ? [] : [`--${field.option}`];
    return field.default === true ? [`--${oppositeOf(field.option)}`] : [];
  }
  return (Array.isArray(value) ? value : [value]).flatMap((item) => {
    const text = textOf(item);
    // Joined, a value that begins with a dash (or is `-`, standard input) is not taken for something else.
    return text.startsWith("-") && field.kind !== "integer"
      ? [quote(`--${field.option}=${text}`)]
      : [`--${field.option}`, quote(text)];
  });
}

/**
 * The line that calls `command` with this input, ready to be pasted into a shell. What the schema requires and the input
 * leaves out stands as its name in capitals.
 */
export function commandLine(command: AnyCommand, input: Readonly<Record<string, unknown>>): string {
  const places = argumentsOf(command);
  const positionals: string[] = [];
  for (const field of places) {
    const value = input[field.name];
    if (value === undefined && !field.required) break;
    const values = value === undefined ? [placeName(field)] : Array.isArray(value) ? value : [value];
    positionals.push(...values.map(textOf));
  }
  const options = fieldNames(command)
    .filter(
      (name) =>
        !command.positional.includes(name) && (Object.hasOwn(input, name) || requiredNames(command).includes(name)),
    )
    .flatMap((name) => fieldOf(command, name) ?? [])
    .flatMap((field) =>
      field.required && input[field.name] === undefined
        ? [`--${field.option}`, placeholder(field)]
        : optionWords(field, input[field.name]),
    );
  const dashed = positionals.some(looksLikeOption);
  const quoted = positionals.map(quote);
  return [spoken(command.name), ...(dashed ? [...options, "--", ...quoted] : [...quoted, ...options])].join(" ");
}
