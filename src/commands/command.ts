import type { Code } from "../core/errors.ts";
import type { Static, TSchema } from "../core/schema.ts";
import type { Shown, View } from "../core/view.ts";
import type { Context } from "./context.ts";

/** What to do next: a command with its input, never a command line; each face writes it in its own way. */
export interface NextAction {
  /** Name of the command, such as `task.claim`. */
  readonly command: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly why: string;
}

export type Effect =
  /** Writes nothing, needs nothing writable. */
  | "read"
  /** Changes a plane; takes an idempotency key. */
  | "write";

/**
 * One command, one value: the command line, MCP, the board and the reference pages are readings of it.
 * It never mentions `--json`, colour, exit statuses or MCP.
 */
export interface Command<I extends TSchema = TSchema, O extends TSchema = TSchema> {
  /** `task.renew` lives in `src/commands/task/renew.ts` and is called `lodestar task renew`. */
  readonly name: string;
  readonly effect: Effect;
  /** For a command that writes only when asked to: true for input that only reads. */
  readonly only_reads?: (input: Static<I>) => boolean;
  /** Imperative, capital, no full stop, under 60 characters. */
  readonly summary: string;
  /** What it does and changes, for people who ask: plain paragraphs. */
  readonly explain: string;
  /** Shown to MCP? `true`, or the name of the tool that it joins. */
  readonly tool: boolean | string;
  /** Fields that the tool leaves out: seldom needed there, and every client pays for each in every session. */
  readonly tool_omits: readonly string[];
  /** Fields whose names say enough to a model: the tool has them without their descriptions. */
  readonly tool_bare: readonly string[];
  /** Input fields given by position; the last may be a list. */
  readonly positional: readonly string[];
  /** Short options of Lodestar 1.0: field → letter. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Where the option's name is not the field's name with dashes: field → option, such as `agent_id` → `agent`. */
  readonly options: Readonly<Record<string, string>>;
  /** Options that are accepted for compatibility and not shown. */
  readonly hidden: readonly string[];
  /** Fields that name a file on the caller's machine: only the command line, which runs there, offers them. */
  readonly files: readonly string[];
  /** For a command that writes: twice the same call leaves what one leaves. */
  readonly idempotent: boolean;
  /** For a tool that writes: may overwrite or take away what somebody wrote. Clients that ask a person ask about these. */
  readonly destructive: boolean;
  /** Text fields that may be read from standard input (`-`) or from `--<option>-file`. */
  readonly long_text: readonly string[];
  readonly input: I;
  readonly output: O;
  /** The codes that it can answer besides those every command can. */
  readonly errors: readonly Code[];
  /** Command lines, each with a word on what it shows. */
  readonly examples: readonly { readonly line: string; readonly shows: string }[];
  /** Name of the list in `data` to which `--fields` applies; none: to `data` itself. */
  readonly items?: string;
  /** For input that asks for a stream (`--follow`, `--watch`): answers as they come instead of one, until interrupted. */
  readonly stream?: Stream<I>;
  /** For input that asks for a server: the face that takes over the process's streams when `run` has said that it may. */
  readonly serve?: { readonly face: string; readonly asked: (input: Static<I>) => boolean };
  /** True for the few that answer outside an initialised directory. */
  readonly anywhere: boolean;
  readonly run: (input: Static<I>, context: Context) => Promise<Static<O>>;
  /** Best first. */
  readonly next: (output: Static<O>, input: Static<I>) => readonly NextAction[];
  readonly view: (output: Static<O>, input: Static<I>) => readonly Shown[];
  /**
   * For a command that another program calls in a protocol of its own: what is written instead of the view, and the exit status,
   * also when the call failed. With `--json` the envelope is the answer all the same.
   */
  readonly raw?: (result: Result<Static<O>>, input: Static<I>) => Raw;
}

/** What came of a call, for a command that writes it down itself. */
export type Result<T> =
  | { readonly ok: true; readonly data: T; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly warnings: readonly string[] };

/** The words of another program's protocol. Empty texts are not written. */
export interface Raw {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exit: number;
}

/** How a command goes on answering. */
export interface Stream<I extends TSchema> {
  readonly asked: (input: Static<I>) => boolean;
  /** One object a line in JSON. */
  readonly items: (input: Static<I>, context: Context) => AsyncGenerator<unknown>;
  readonly view: (item: unknown) => readonly View[];
  /** On a terminal each item replaces the one before. */
  readonly redraws: boolean;
}

type Defaulted =
  | "tool"
  | "tool_omits"
  | "tool_bare"
  | "positional"
  | "aliases"
  | "options"
  | "hidden"
  | "files"
  | "idempotent"
  | "destructive"
  | "long_text"
  | "examples"
  | "errors"
  | "anywhere"
  | "next";
type Definition<I extends TSchema, O extends TSchema> = Omit<Command<I, O>, Defaulted> &
  Partial<Pick<Command<I, O>, Defaulted>>;

/** A command as any face sees it: input and output are whatever its schemas say. */
// biome-ignore lint/suspicious/noExplicitAny: run, next and view are contravariant in the input; faces only pass checked values.
export type AnyCommand = Command<any, any>;

/** Fills in what a definition leaves out. */
export function command<I extends TSchema, O extends TSchema>(definition: Definition<I, O>): Command<I, O> {
  return {
    tool: false,
    tool_omits: [],
    tool_bare: [],
    positional: [],
    aliases: {},
    options: {},
    hidden: [],
    files: [],
    idempotent: false,
    destructive: false,
    long_text: [],
    examples: [],
    errors: [],
    anywhere: false,
    next: () => [],
    ...definition,
  };
}
