import { LodestarError } from "../../core/errors.ts";
import { AgentId, LeaseId, TaskId, Text, Token } from "../../core/schema.ts";
import type { AnyCommand } from "../command.ts";
import { readFields } from "../fields.ts";

/** Name of a command → its value, loaded when asked for. */
export type Registry = Readonly<Record<string, () => Promise<{ readonly default: AnyCommand }>>>;

/** One tool: a command, and those that join it and are chosen with {@link CHOICE}. */
export interface Tool {
  readonly name: string;
  /** The tool's own command first. */
  readonly commands: readonly AnyCommand[];
  readonly listing: Listing;
}

/** A tool as `tools/list` shows it: every client pays for each byte, in every session. */
export interface Listing {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: {
    readonly type: "object";
    readonly properties: Readonly<Record<string, object>>;
    readonly required?: string[];
    /** The others are refused by the check; models that are told make fewer of them up. */
    readonly additionalProperties: false;
  };
  readonly annotations?: Annotations;
}

/**
 * What clients go by when they decide whether to ask a person. Left out, a tool that writes counts as destructive and as reaching out to
 * the world: then Codex refuses it where there is nobody to ask.
 */
interface Annotations {
  readonly readOnlyHint?: true;
  readonly idempotentHint?: true;
  readonly destructiveHint?: false;
  readonly openWorldHint?: false;
}

/** The argument that chooses among the commands of one tool. */
const CHOICE = "do";

/** The argument that leaves only some fields of each item, as `--fields` does, and of which lists: those that may be long, and so have a limit. */
const FIELDS = "fields";
const FIELDS_NODE: Node = Text({ description: "Only these of each, as a,b.c" });
const mayBeLong = ({ items, input }: AnyCommand): boolean =>
  items !== undefined && Object.hasOwn((input as Node).properties ?? {}, "limit");

interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly items?: Node;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
}

/** What says no more than the name of its field. */
const SAID_BY_THE_NAME: readonly unknown[] = [TaskId, AgentId, LeaseId, Token].map(({ description }) => description);

/**
 * The commands of the registry that say so as tools, in its order.
 *
 * @throws LodestarError `INTERNAL` when a command joins a tool that is not there, or means something else by a field of it.
 */
export async function toolsOf(registry: Registry): Promise<readonly Tool[]> {
  const commands = await Promise.all(Object.values(registry).map(async (load) => (await load()).default));
  const stray = commands.find(
    ({ tool }) => typeof tool === "string" && !commands.some((each) => each.tool === true && each.name === tool),
  );
  if (stray !== undefined) throw new LodestarError("INTERNAL", `${stray.name} joins a tool that is not there.`);
  return commands
    .filter(({ tool }) => tool === true)
    .map((main) =>
      toolOf(
        main,
        commands.filter(({ tool }) => tool === main.name),
      ),
    );
}

function toolOf(main: AnyCommand, joined: readonly AnyCommand[]): Tool {
  const commands = [main, ...joined];
  const properties: Record<string, object> = {};
  if (joined.length > 0) properties[CHOICE] = { enum: commands.map(choiceOf) };
  for (const command of commands) {
    for (const [name, node] of offered(command)) {
      const made = published(command, node, command.tool_bare.includes(name) ? "bare" : "described");
      const known = properties[name];
      if (known === undefined) properties[name] = made;
      else if (!isSameKind(known, made))
        throw new LodestarError("INTERNAL", `${command.name} means something else by ${name} than ${main.name}.`);
    }
  }
  const required = requiredOf(main).filter((name) => joined.every((command) => requiredOf(command).includes(name)));
  const name = main.name.replaceAll(".", "_");
  return {
    name,
    commands,
    listing: {
      name,
      description: [main.summary, ...joined.map((command) => `${choiceOf(command)}: ${command.summary}`)].join(". "),
      inputSchema: {
        type: "object",
        properties,
        ...(required.length === 0 ? {} : { required }),
        additionalProperties: false,
      },
      ...annotated(commands),
    },
  };
}

function annotated(commands: readonly AnyCommand[]): Pick<Listing, "annotations"> {
  const writing = commands.filter(({ effect }) => effect !== "read");
  if (writing.length === 0) return { annotations: { readOnlyHint: true } };
  const annotations: Annotations = {
    ...(writing.every(({ idempotent }) => idempotent) ? { idempotentHint: true } : {}),
    ...(writing.some(({ destructive }) => destructive) ? {} : { destructiveHint: false, openWorldHint: false }),
  };
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

const choiceOf = ({ name }: AnyCommand): string => name.split(".").at(-1) ?? name;

const requiredOf = (command: AnyCommand): readonly string[] => (command.input as Node).required ?? [];

/** The fields that a tool has: no files of this machine, no streams, nothing that is there for old scripts only. */
function offered(command: AnyCommand): [string, Node][] {
  const own = Object.entries((command.input as Node).properties ?? {}).filter(
    ([name]) =>
      ![...command.files, ...command.hidden, ...command.tool_omits].includes(name) &&
      command.stream?.asked({ [name]: true }) !== true,
  );
  return mayBeLong(command) ? [...own, [FIELDS, FIELDS_NODE]] : own;
}

/** The field without what only the check needs: `execute` checks every call against the command's own schema. */
function published(command: AnyCommand, node: Node, how: "bare" | "described"): object {
  const words = node.anyOf?.map((option) => option.const);
  const description =
    how === "bare" || node.description === undefined || SAID_BY_THE_NAME.includes(node.description)
      ? {}
      : { description: inWordsOfFields(command, node.description) };
  if (words?.every((word) => word !== undefined)) return { enum: words, ...description };
  // The words for a switch that is on are those for turning it off (`--no-context`).
  if (node.type === "boolean" && node.default === true) return { type: "boolean", default: true };
  return {
    ...(node.type === undefined ? {} : { type: node.type }),
    ...(node.items === undefined ? {} : { items: published(command, node.items, "bare") }),
    ...description,
  };
}

/** `--another` is `another` here. */
function inWordsOfFields(command: AnyCommand, description: string): string {
  return description.replaceAll(/--([a-z][a-z-]*)/g, (_all, option: string) => {
    const named = Object.entries(command.options).find(([, word]) => word === option)?.[0];
    return named ?? option.replaceAll("-", "_");
  });
}

const isSameKind = (a: object, b: object): boolean =>
  Bun.deepEquals({ ...a, description: undefined }, { ...b, description: undefined });

/** What a call of a tool means. */
interface ToolCall {
  readonly command: AnyCommand;
  readonly input: Record<string, unknown>;
  /** What to leave of each item of the answer; `undefined`: everything. */
  readonly paths: readonly (readonly string[])[] | undefined;
}

/**
 * The command that a call of a tool means, its input, and what is wanted of its answer.
 *
 * @throws LodestarError `USAGE` for an argument that this command does not offer, or a field that its answer cannot have.
 */
export function callOf(tool: Tool, given: Readonly<Record<string, unknown>>): ToolCall {
  const [main] = tool.commands;
  const { [CHOICE]: choice, ...input } = tool.commands.length > 1 ? given : { ...given, [CHOICE]: undefined };
  const command = choice === undefined ? main : tool.commands.find((each) => choiceOf(each) === choice);
  if (command === undefined) {
    const known = tool.commands.map(choiceOf);
    throw refused(tool, CHOICE, `must be one of ${known.join(", ")}.`);
  }
  const names = offered(command).map(([name]) => name);
  const strange =
    tool.commands.length === 1 && Object.hasOwn(given, CHOICE)
      ? CHOICE
      : Object.keys(input).find((name) => !names.includes(name));
  if (strange !== undefined) {
    const by = command === main ? "" : ` by ${CHOICE}: ${choiceOf(command)}`;
    throw refused(tool, strange, `is not known here${by}; known: ${names.join(", ")}.`);
  }
  if (!mayBeLong(command)) return { command, input, paths: undefined };
  const { [FIELDS]: fields, ...rest } = input;
  if (fields === undefined) return { command, input, paths: undefined };
  if (typeof fields !== "string") throw refused(tool, FIELDS, "must be a text, such as id,title.");
  const paths = readFields(command, fields, (message, details) =>
    refused(tool, FIELDS, `is wrong: ${message}`, details),
  );
  return { command, input: rest, paths };
}

function refused(tool: Tool, field: string, message: string, details: object = {}): LodestarError {
  return new LodestarError("USAGE", `${tool.name}: ${field} ${message}`, {
    details: { issues: [{ field, message }], ...details },
    hint: `See the input schema of ${tool.name}.`,
  });
}

/** The name of the tool that a command is reached by, with the arguments for `input`; `undefined`: by none. */
export function actionOf(
  tools: readonly Tool[],
  name: string,
  input: Readonly<Record<string, unknown>>,
): { readonly tool: string; readonly arguments: Readonly<Record<string, unknown>> } | undefined {
  const tool = tools.find(({ commands }) => commands.some((command) => command.name === name));
  const command = tool?.commands.find((each) => each.name === name);
  if (tool === undefined || command === undefined) return undefined;
  const names = offered(command).map(([field]) => field);
  if (Object.keys(input).some((field) => !names.includes(field))) return undefined;
  return {
    tool: tool.name,
    arguments: command === tool.commands[0] ? input : { [CHOICE]: choiceOf(command), ...input },
  };
}
