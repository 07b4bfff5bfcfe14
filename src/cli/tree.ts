import { type CommandDef, defineCommand } from "citty";
import type { AnyCommand } from "../commands/command.ts";
import type { Context } from "../commands/context.ts";
import type { Programs } from "../commands/programs.ts";
import type { Serve, ServedCall } from "../commands/serving.ts";
import { GLOBALS } from "./options.ts";
import { looksLikeOption } from "./parse.ts";

/** Name of a command → its value, loaded when asked for. */
export type Registry = Readonly<Record<string, () => Promise<{ readonly default: AnyCommand }>>>;

/** What a command works with is made from this. */
export interface World extends ServedCall {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly repo?: string;
  readonly idempotency_key?: string;
  /** Can a person be asked? */
  readonly interactive: boolean;
  /** Asks that person a yes/no question. */
  readonly confirm?: (question: string) => boolean;
  readonly stdin?: () => string;
  readonly nextStdin?: () => Promise<Uint8Array | undefined>;
  /** What starts other programs; loaded when asked for. */
  readonly programs?: () => Promise<Programs>;
}

/** What the command line is a face of. */
export interface House {
  readonly registry: Registry;
  /** Group → one line on what it is about. */
  readonly groups: Readonly<Record<string, string>>;
  readonly openContext: (world: World) => Context | Promise<Context>;
  /** The faces that serve, by name; loaded when a command asks for one. */
  readonly servers?: Readonly<Record<string, () => Promise<{ readonly serve: Serve }>>>;
}

/** `task.mark_read` as people type it: `["task", "mark-read"]`. */
export const wordsOf = (name: string) => name.replaceAll("_", "-").split(".");

/**
 * The tree of commands, in citty's terms: a node's `meta.name` is the dotted name, and nothing below it is loaded.
 * Groups are nodes with `subCommands`; a group may be a command as well (`lodestar task`).
 */
export function treeOf({ registry, groups }: House): CommandDef {
  const below: Record<string, Record<string, CommandDef>> = { "": {} };
  for (const name of Object.keys(registry)) {
    const words = wordsOf(name);
    const last = words.pop() ?? name;
    const group = words.join(".");
    below[group] ??= {};
    below[group][last] = defineCommand({ meta: { name } });
  }
  const top = below[""] ?? {};
  for (const [group, subCommands] of Object.entries(below)) {
    if (group === "") continue;
    const description = groups[group];
    top[group] = defineCommand({
      meta: { name: group, ...(description === undefined ? {} : { description }) },
      subCommands,
    });
  }
  return defineCommand({
    meta: { name: "", description: "Task coordination for many coding agents in one Git repository" },
    subCommands: top,
  });
}

/** The names below a node and their nodes; empty for a command. */
export const childrenOf = (node: CommandDef) => (node.subCommands ?? {}) as Readonly<Record<string, CommandDef>>;

/** Dotted name of a node; `""` for `lodestar` itself. */
export const nameOf = (node: CommandDef) => (node.meta as { readonly name: string }).name;

/** One way to understand which command a line of words names. */
export interface Reading {
  readonly node: CommandDef;
  /** The words that name it. */
  readonly words: readonly string[];
  /** The first word that should have named a command below `node` and does not. */
  readonly unknown?: string;
  /** Begins with the word `help`. */
  readonly help?: true;
}

/**
 * The usual call: the words that name a command come first. What {@link readings} would say of it, without a tree.
 * @returns `undefined` for every other call.
 */
export function plainReading({ registry, groups }: House, argv: readonly string[]): Reading | undefined {
  const [first = "", second = ""] = argv;
  const group = Object.hasOwn(groups, first);
  const name = (group ? `${first}.${second}` : first).replaceAll("-", "_");
  if (!Object.hasOwn(registry, name)) return undefined;
  const words = group ? [first, second] : [first];
  return words.join(".") === wordsOf(name).join(".") ? { node: defineCommand({ meta: { name } }), words } : undefined;
}

/**
 * The ways to read argv as a command, likeliest first. There is more than one only where an option whose nature is not
 * known yet stands before the command is complete: `--ttl 5m task claim`, `--mine task list`.
 */
export function* readings(
  node: CommandDef,
  argv: readonly string[],
  words: readonly string[] = [],
  from = 0,
): Generator<Reading> {
  const children = childrenOf(node);
  if (Object.keys(children).length === 0) {
    yield { node, words };
    return;
  }
  for (let i = from; i < argv.length; i++) {
    const token = argv[i] ?? "";
    if (token === "--") break;
    if (!looksLikeOption(token)) {
      const child = Object.hasOwn(children, token) ? children[token] : undefined;
      if (child !== undefined) yield* readings(child, argv, [...words, token], i + 1);
      else if (token === "help" && words.length === 0) {
        const rest = argv.toSpliced(i, 1);
        for (const reading of readings(node, rest, [], i)) yield { ...reading, help: true };
      } else yield { node, words, unknown: token };
      return;
    }
    if (token.includes("=")) continue;
    const global = GLOBALS.find(({ option, letter }) => token === `--${option}` || token === `-${letter}`);
    if (global?.kind === "flag") continue;
    if (global !== undefined) {
      i++;
      continue;
    }
    const next = argv[i + 1];
    if (next === undefined || looksLikeOption(next)) continue;
    const flagFirst = Object.hasOwn(children, next);
    yield* readings(node, argv, words, i + (flagFirst ? 1 : 2));
    yield* readings(node, argv, words, i + (flagFirst ? 2 : 1));
    return;
  }
  yield { node, words };
}
