import type { AnyCommand } from "../commands/command.ts";
import type { Context } from "../commands/context.ts";
import type { Known, TaskWish } from "../commands/setup/known-ids.ts";
import { sanitiseLine } from "../render/sanitise.ts";
import { shorten } from "../render/terminal.ts";
import { optionText } from "./describe.ts";
import type { Io } from "./io.ts";
import { argumentsOf, type Entry, entriesOf, type Field, GLOBALS, shownName } from "./options.ts";
import { looksLikeOption } from "./parse.ts";
import { childrenOf, type House, nameOf, type Reading, readings, treeOf } from "./tree.ts";

/** What a shell may put into the line; or that it should look for files or folders itself. */
type Answer = readonly Known[] | "files" | "dirs";

/**
 * What is offered stands in the shell's line as it is. So only words that mean themselves to every shell are offered: an id that holds
 * anything else (a hand-written spec may) is left to be typed, and nothing in a repository can act through a completion.
 */
const PLAIN = /^\w[\w.:/+-]*$/;
/** The same with the letters of all scripts, which takes a regular expression that costs more than all else that is done here. */
const PLAIN_ANYWHERE = /^[\p{L}\p{N}_][\p{L}\p{N}\p{M}_.:/+-]*$/u;
/** Columns of a description: it stands beside the word. */
const ABOUT = 60;

/**
 * Answers a shell that completes a line, for the scripts of `lodestar completions`: first a line `words`, `files` or `dirs`, then a word
 * a line, a tab, and what it is. It never fails and writes nothing but that: whatever is wrong, there is nothing to offer.
 *
 * @param current the word that is being typed, up to the cursor.
 * @param before the words between `lodestar` and it.
 */
export async function complete(current: string, before: readonly string[], io: Io, house: House): Promise<number> {
  try {
    const answer = await answerTo(current, before, io, house);
    if (typeof answer === "string") io.out(answer);
    else {
      const lines = answer
        .filter(({ value }) => value.startsWith(current))
        .map(({ value, about }) => `${value}\t${shorten(sanitiseLine(about), ABOUT)}`.trimEnd());
      io.out(["words", ...lines].join("\n"));
    }
  } catch (cause) {
    // Someone is typing a line: an error has no place there. Who looks for one says so.
    if (io.env.LODESTAR_DEBUG) io.err(String(cause));
  }
  return 0;
}

async function answerTo(current: string, before: readonly string[], io: Io, house: House): Promise<Answer> {
  const reading = readings(treeOf(house), before).next().value as Reading | undefined;
  if (reading === undefined || reading.unknown !== undefined) return [];
  const { node } = reading;
  const children = Object.entries(childrenOf(node));
  if (children.length > 0) {
    if (current.startsWith("-"))
      return optionsOf(
        GLOBALS.map((field) => [`--${field.option}`, field]),
        [],
      );
    return Promise.all(
      children.map(async ([value, child]) => ({ value, about: await summaryOf(nameOf(child), house) })),
    );
  }
  const command = (await house.registry[nameOf(node)]?.())?.default;
  return command === undefined ? [] : completeCall(command, reading.words, current, before, io, house);
}

async function summaryOf(name: string, { groups, registry }: House): Promise<string> {
  return groups[name] ?? (await registry[name]?.())?.default.summary ?? "";
}

/** A word in the line of a command that is known. */
async function completeCall(
  command: AnyCommand,
  words: readonly string[],
  current: string,
  before: readonly string[],
  io: Io,
  house: House,
): Promise<Answer> {
  const entries = entriesOf(command);
  const line = readLine(entries, words, before);
  const valuesOf = (field: Field, file: boolean, typed: string) =>
    values({ command, field, file, typed, given: line.bare, line: before }, line.values, io, house);
  if (line.awaits !== undefined) return valuesOf(line.awaits.field, line.awaits.file === true, current);
  if (current.startsWith("-") && !line.closed) {
    const equals = current.indexOf("=");
    if (equals < 0) {
      return optionsOf(
        [...entries].map(([name, { field }]) => [name, field]),
        line.options,
      );
    }
    const option = current.slice(0, equals);
    const entry = entries.get(option);
    if (entry === undefined || entry.flag !== undefined) return [];
    const answer = await valuesOf(entry.field, entry.file === true, current.slice(equals + 1));
    // A shell that looks for files itself does not know that the option stands before them.
    if (typeof answer === "string") return [];
    return answer.map(({ value, about }) => ({ value: `${option}=${value}`, about }));
  }
  const places = argumentsOf(command);
  const place = places[line.bare.length] ?? (places.at(-1)?.many === true ? places.at(-1) : undefined);
  return place === undefined ? [] : valuesOf(place, false, current);
}

interface Line {
  /** Words that are neither the command's name nor options nor their values. */
  readonly bare: readonly string[];
  readonly options: readonly string[];
  /** Values of options, by field. */
  readonly values: ReadonlyMap<string, string>;
  /** The option whose value comes next. */
  readonly awaits?: Entry;
  /** After `--` nothing is an option. */
  readonly closed: boolean;
}

function readLine(entries: ReadonlyMap<string, Entry>, words: readonly string[], before: readonly string[]): Line {
  const toMatch = [...words];
  const bare: string[] = [];
  const options: string[] = [];
  const given = new Map<string, string>();
  for (let i = 0; i < before.length; i += 1) {
    const word = before[i] ?? "";
    if (word === "--") return { bare: [...bare, ...before.slice(i + 1)], options, values: given, closed: true };
    if (!looksLikeOption(word)) {
      if (toMatch[0] === word) toMatch.shift();
      else bare.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const option = equals < 0 ? word : word.slice(0, equals);
    options.push(option);
    const entry = entries.get(option);
    if (entry === undefined || entry.flag !== undefined) continue;
    if (equals >= 0) given.set(entry.field.name, word.slice(equals + 1));
    else if (i + 1 === before.length) return { bare, options, values: given, awaits: entry, closed: false };
    else given.set(entry.field.name, before[++i] ?? "");
  }
  return { bare, options, values: given, closed: false };
}

/** The long options that may still be given, as the help shows them. */
function optionsOf(all: readonly (readonly [name: string, field: Field])[], given: readonly string[]): Known[] {
  const fields = new Map(all);
  return all.flatMap(([name, field]) => {
    const isFile = field.long && name === `--${field.option}-file`;
    const isShown = name === `--${shownName(field)}` || isFile;
    const again = field.many || !given.some((option) => fields.get(option) === field);
    return isShown && !field.hidden && again ? [{ value: name, about: optionText(field).description ?? "" }] : [];
  });
}

/** Fields whose values are paths. */
const FILES = new Set(["file", "path", "base", "ours", "theirs"]);
const TASKS = new Set(["task_id", "task_ids", "root", "depends_on", "add_dep", "remove_dep", "task"]);
const AGENTS = new Set(["agent_id", "agent", "claimed_by"]);
const LABELS = new Set(["label", "add_label", "remove_label"]);

/** Which tasks a command can mean, where not any that is not deleted. */
const WISHES: Readonly<Record<string, TaskWish>> = {
  "task.claim": "claimable",
  "task.renew": "held",
  "task.release": "held",
  "task.done": "held",
  "task.verify": "done",
  "task.reopen": "finished",
};

interface Question {
  readonly command: AnyCommand;
  readonly field: Field;
  /** The value is a file that holds the text. */
  readonly file: boolean;
  readonly typed: string;
  /** Arguments by position that are there already. */
  readonly given: readonly string[];
  readonly line: readonly string[];
}

async function values(
  { command, field, file, typed, given, line }: Question,
  options: ReadonlyMap<string, string>,
  io: Io,
  house: House,
): Promise<Answer> {
  if (file || FILES.has(field.name)) return "files";
  if (field.name === "repo") return "dirs";
  if (field.kind === "choice") return field.choices.map((value) => ({ value, about: "" }));
  const { agentsFor, featuresFor, labelsFor, tasksFor } = await import("../commands/setup/known-ids.ts");
  const open = async (): Promise<Context | undefined> => {
    const [repo, agent] = [options.get("repo"), options.get("agent") ?? options.get("agent_id")];
    const context = await house.openContext({
      cwd: io.cwd,
      env: io.env,
      ...(repo === undefined ? {} : { repo }),
      ...(agent === undefined ? {} : { agent }),
      interactive: false,
    });
    return context.initialized ? context : undefined;
  };
  const from = async (read: (context: Context) => Promise<Known[]>): Promise<Known[]> => {
    const context = await open();
    const known = context === undefined ? [] : await read(context);
    return known.filter(({ value }) => PLAIN.test(value) || PLAIN_ANYWHERE.test(value));
  };
  if (TASKS.has(field.name)) {
    const wish = field.byPosition ? (WISHES[command.name] ?? "any") : "any";
    const review = command.name === "task.claim" && line.includes("--review");
    const found = await from((context) => tasksFor(review ? "reviewable" : wish, typed, context));
    return found.filter(({ value }) => !given.includes(value));
  }
  if (AGENTS.has(field.name)) return from(agentsFor);
  if (LABELS.has(field.name)) return from(labelsFor);
  if (field.name === "feature") return from(featuresFor);
  return [];
}
