import type { AnyCommand } from "../commands/command.ts";
import { check } from "../core/check.ts";
import { LodestarError } from "../core/errors.ts";
import { didYouMean, nearest } from "../core/nearest.ts";
import { parseTtl } from "../core/time.ts";
import {
  argumentsOf,
  entriesOf,
  entryOf,
  type Field,
  fieldOf,
  GLOBALS,
  placeholder,
  requiredNames,
  shownName,
} from "./options.ts";

/** What the options of every command said. */
export interface Globals {
  readonly json: boolean;
  readonly schema: boolean;
  readonly explain: boolean;
  readonly no_color: boolean;
  readonly quiet: boolean;
  readonly help: boolean;
  readonly version: boolean;
  readonly fields?: string;
  readonly repo?: string;
  readonly agent?: string;
  readonly idempotency_key?: string;
}

/** A text still to be read: from standard input, or from the file at `path`. */
export interface Source {
  readonly field: Field;
  /** As the person wrote it, for messages: `--text` or `--text-file`. */
  readonly option: string;
  readonly path?: string;
}

export interface Parsed {
  readonly input: Record<string, unknown>;
  readonly globals: Globals;
  readonly sources: readonly Source[];
}

/** What a token looks like where an option may stand: any dash but `-` itself and a negative number. */
export const looksLikeOption = (token: string) => token.length > 1 && token.startsWith("-") && !/^-\d/.test(token);

/**
 * Would this be an option where a value is due? Stricter than {@link looksLikeOption}, so that a text that begins with a
 * dash (`- first point`) is a value, and `--label --json` is a missing one.
 */
const isOption = (token: string) => token === "--" || /^--?[A-Za-z][\w-]*(=|$)/.test(token);

/** `lodestar task claim`, as people type it. */
export const spoken = (name: string) =>
  name === "" ? "lodestar" : `lodestar ${name.replaceAll(".", " ").replaceAll("_", "-")}`;

/** A call that is wrong in itself. */
export function usage(message: string, name: string, details: Readonly<Record<string, unknown>> = {}): LodestarError {
  return new LodestarError("USAGE", message, { details, hint: `See \`${spoken(name)} --help\`.` });
}

/** Before there is a command: is this flag given? Only before `--`, and never as the value after `=`. */
export function mentions(argv: readonly string[], ...flags: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).some((token) => flags.includes(token));
}

/**
 * Reads the words after `lodestar` as a call of `command`: once, strictly.
 *
 * @param words how the command was named, such as `["task", "claim"]`: the first words that are not options.
 * @param lenient for `--explain` and `--schema`: arguments may be missing.
 * @throws LodestarError `USAGE` (or `INVALID_TTL`).
 */
export function parse(
  command: AnyCommand,
  words: readonly string[],
  argv: readonly string[],
  lenient = mentions(argv, "--schema", "--explain"),
): Parsed {
  const given = new Map<Field, { option: string; values: string[]; file: boolean }>();
  const flags = new Map<Field, { option: string; value: boolean }>();
  const globals = new Map<Field, string>();
  const bare: string[] = [];
  const after: string[] = [];
  const toMatch = [...words];
  const fail = (message: string, details: Readonly<Record<string, unknown>> = {}) =>
    usage(message, command.name, details);

  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? "";
    if (token === "--") {
      after.push(...argv.slice(i + 1));
      break;
    }
    if (!looksLikeOption(token)) {
      const word = toMatch.shift();
      if (word === undefined) bare.push(token);
      else if (word !== token) throw fail(`Unexpected argument "${token}".`, { argument: token });
      continue;
    }
    const equals = token.startsWith("--") ? token.indexOf("=") : -1;
    const option = equals < 0 ? token : token.slice(0, equals);
    const entry = entryOf(command, option);
    if (entry === undefined) throw unknownOption(command, option);
    if (entry.flag !== undefined) {
      if (equals >= 0) throw fail(`${option} takes no value.`, { option });
      const before = flags.get(entry.field);
      if (before !== undefined && before.value !== entry.flag) {
        throw fail(`${before.option} and ${option} contradict each other.`, { option });
      }
      flags.set(entry.field, { option, value: entry.flag });
      continue;
    }
    let value: string;
    if (equals >= 0) value = token.slice(equals + 1);
    else {
      const next = argv[i + 1];
      if (next === undefined || isOption(next)) {
        const hint = next === undefined || next === "--" ? "" : ` (a value that begins with a dash: ${option}=${next})`;
        throw fail(`${option} needs a value${hint}.`, { option });
      }
      value = next;
      i++;
    }
    const { field, global, file = false } = entry;
    if (global !== undefined) {
      if (value === "") throw fail(`${option} must not be empty.`, { option });
      const before = globals.get(global);
      if (before !== undefined && before !== value) throw twice(command, option, before, value);
      globals.set(global, value);
      if (field === global) continue;
    }
    const before = given.get(field);
    if (before === undefined) given.set(field, { option, values: [value], file });
    else if (field.many) before.values.push(value);
    else if (before.values[0] !== value || before.file !== file) {
      if (before.option === option) throw twice(command, option, before.values[0] ?? "", value);
      throw fail(`${before.option} and ${option} were both given; only one can count.`, { option });
    }
  }
  if (toMatch.length > 0) throw fail(`Incomplete command: ${toMatch.join(" ")} is missing.`);

  const input: Record<string, unknown> = {};
  const sources: Source[] = [];
  for (const [field, { option, values, file }] of given) {
    if (field.long && (file || values[0] === "-")) {
      if (file && values[0] === "") throw fail(`${option} must not be empty.`, { option });
      sources.push({ field, option, ...(file && values[0] !== undefined ? { path: values[0] } : {}) });
    } else {
      const read = values.map((value) => readValue(command, field, value, option));
      input[field.name] = field.many ? read : read[0];
    }
  }
  for (const [field, { value }] of flags) {
    if (!GLOBALS.includes(field)) input[field.name] = value;
  }
  placeArguments(command, bare, after, input, sources);
  if (sources.filter(({ path }) => path === undefined).length > 1) {
    throw fail("Only one text can be read from standard input.", { options: sources.map(({ option }) => option) });
  }

  const named = Object.fromEntries([...globals].map(([field, value]) => [field.name, value]));
  // `--agent` says who acts, and fills `agent_id` even where that has another option or a place of its own.
  if (named.agent !== undefined && input.agent_id === undefined && "agent_id" in (command.input.properties ?? {})) {
    input.agent_id = named.agent;
  }
  if (!lenient) requireAll(command, input, sources);
  const said = (name: string) => [...flags.keys()].some((field) => field.name === name && GLOBALS.includes(field));
  if (named.fields !== undefined && !said("json") && !lenient)
    throw fail("--fields needs --json.", { option: "--fields" });
  return {
    input,
    sources,
    globals: {
      json: said("json"),
      schema: said("schema"),
      explain: said("explain"),
      no_color: said("no_color"),
      quiet: said("quiet"),
      help: said("help"),
      version: said("version"),
      ...named,
    },
  };
}

function twice(command: AnyCommand, option: string, first: string, second: string): LodestarError {
  return usage(`${option} was given twice, as "${first}" and as "${second}".`, command.name, { option });
}

function unknownOption(command: AnyCommand, option: string): LodestarError {
  const where = command.name === "" ? "" : ` for \`${spoken(command.name)}\``;
  const position = argumentsOf(command).find((field) => `--${field.option}` === option || `--${field.name}` === option);
  const details = (suggestions: readonly string[]) => ({
    option,
    ...(suggestions.length === 0 ? {} : { suggestions }),
  });
  if (position !== undefined) {
    const call = `${spoken(command.name)} ${argumentsOf(command).map(metavariable).join(" ")}`;
    return usage(`Unknown option ${option}${where}: it is given by position, \`${call}\`.`, command.name, details([]));
  }
  if (option === "--idempotency-key") {
    return usage(`Unknown option ${option}${where}: only commands that write take one.`, command.name, details([]));
  }
  const [, letter = "", value = ""] = /^(-[a-z])=?(.+)$/i.exec(option) ?? [];
  const joined = letter === "" ? undefined : entryOf(command, letter);
  if (joined !== undefined && joined.flag === undefined) {
    const words = [`${letter} ${value}`];
    return usage(`Unknown option ${option}${where}.${didYouMean(words, "")}`, command.name, details(words));
  }
  const suggestions = nearest(
    option.replace(/^-+/, "--"),
    [...entriesOf(command)].flatMap(([name, { field }]) => (name.startsWith("--") && !field.hidden ? [name] : [])),
  );
  return usage(`Unknown option ${option}${where}.${didYouMean(suggestions, "")}`, command.name, details(suggestions));
}

/** `TASK_ID`: an argument as messages name it; one of a list (`task_ids`) is one. */
export const placeName = (field: Field) => (field.many ? field.name.replace(/s$/, "") : field.name).toUpperCase();

/** Words of another program's command line: they may be empty, as the schema says, and stand after `--`. */
export const mayBeEmpty = (field: Field) => "minLength" in field.schema && field.schema.minLength === 0;

/** `TASK_ID`, `[PATH]`, `TASK_ID…`: an argument as usage lines name it. */
export function metavariable(field: Field): string {
  const name = `${placeName(field)}${field.many ? "…" : ""}`;
  return field.required ? name : `[${name}]`;
}

/** Gives the words without option to the fields by position; what stands after `--` goes to a list at the end, if there is one. */
function placeArguments(
  command: AnyCommand,
  bare: readonly string[],
  after: readonly string[],
  input: Record<string, unknown>,
  sources: Source[],
): void {
  const fields = [...argumentsOf(command)];
  const rest = fields.at(-1)?.many ? fields.pop() : undefined;
  const words = rest === undefined ? [...bare, ...after] : [...bare];
  for (const word of rest === undefined ? words : [...words, ...after]) {
    if (word === "" && (rest === undefined || !mayBeEmpty(rest))) throw usage("An argument is empty.", command.name);
  }
  for (const field of fields) {
    const word = words.shift();
    if (word === undefined) break;
    const name = placeName(field);
    if (field.long && word === "-") sources.push({ field, option: name });
    else input[field.name] = readValue(command, field, word, name);
  }
  if (rest !== undefined) {
    const values = [...words.splice(0), ...after].map((word) => readValue(command, rest, word, placeName(rest)));
    if (values.length > 0) input[rest.name] = values;
  }
  const extra = words[0];
  if (extra !== undefined) throw usage(`Unexpected argument "${extra}".`, command.name, { argument: extra });
}

/** Turns the text of an option or argument into its value, within the limits of its schema. */
function readValue(command: AnyCommand, field: Field, text: string, option: string): unknown {
  const fail = (message: string, suggestions: readonly string[] = []) =>
    usage(`${option} ${message}.${didYouMean(suggestions)}`, command.name, {
      option,
      value: text,
      ...(suggestions.length === 0 ? {} : { suggestions }),
    });
  let value: unknown = text;
  switch (field.kind) {
    case "integer":
    case "number":
      value = /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
      if (value === undefined || (field.kind === "integer" && !Number.isSafeInteger(value))) {
        throw fail(`must be ${field.kind === "integer" ? "a whole number" : "a number"}, not "${text}"`);
      }
      break;
    case "choice":
      if (!field.choices.includes(text)) {
        throw fail(`must be one of ${field.choices.join(", ")}, not "${text}"`, nearest(text, field.choices));
      }
      break;
    case "json":
      try {
        value = JSON.parse(text);
      } catch (cause) {
        throw new LodestarError("USAGE", `${option} must be JSON: ${text}`, {
          details: { option, value: text },
          cause,
        });
      }
      break;
    case "flag":
      throw fail("takes no value");
    case "duration":
      if (field.name === "ttl") parseTtl(text);
      break;
    case "text":
      if (text === "" && field.many && !mayBeEmpty(field)) throw fail("must not be empty");
  }
  const issue = check(field.schema, value)[0];
  if (issue !== undefined) throw fail(issue.message);
  return value;
}

/** Refuses a call that leaves out what the schema requires. */
function requireAll(command: AnyCommand, input: Readonly<Record<string, unknown>>, sources: readonly Source[]): void {
  const left = requiredNames(command).filter(
    (name) => input[name] === undefined && !sources.some((source) => source.field.name === name),
  );
  if (left.length === 0) return;
  const missing = left.flatMap((name) => fieldOf(command, name) ?? []);
  const names = missing.map((field) =>
    field.byPosition ? placeName(field) : `--${shownName(field)} ${placeholder(field)}`,
  );
  const details = { missing: missing.map(({ name }) => name) };
  throw usage(`Missing ${missing.length === 1 ? "" : "arguments: "}${names.join(", ")}.`, command.name, details);
}
