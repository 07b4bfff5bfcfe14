import type { CommandDef } from "citty";
import { type AnyCommand, command as define, type NextAction, type Raw, type Result } from "../commands/command.ts";
import type { Context } from "../commands/context.ts";
import type { EnvelopeAction } from "../commands/envelope.ts";
import { type Answer, execute, refusal } from "../commands/execute.ts";
import { chooseFields, pick, type Refuse, readFields } from "../commands/fields.ts";
import type { ServedCall } from "../commands/serving.ts";
import { LodestarError } from "../core/errors.ts";
import { didYouMean, nearest } from "../core/nearest.ts";
import { Shape } from "../core/schema.ts";
import { VERSION } from "../core/version.ts";
import type { View } from "../core/view.ts";
import type { Io } from "./io.ts";
import { commandLine } from "./line.ts";
import { fieldNames } from "./options.ts";
import { type Globals, mentions, type Parsed, parse, spoken, usage } from "./parse.ts";
import type { People } from "./people.ts";
import { childrenOf, type House, nameOf, plainReading, type Reading, readings, treeOf, wordsOf } from "./tree.ts";

/** What `lodestar` alone runs. */
const BARE = "status";
/** So many ways to read an unclear line are tried; more than anyone types. */
const MOST_READINGS = 64;

/** A call, understood. */
type Call =
  | { readonly kind: "run"; readonly command: AnyCommand; readonly parsed: Parsed }
  | { readonly kind: "help" | "explain"; readonly node: CommandDef; readonly command?: AnyCommand }
  | { readonly kind: "schema"; readonly command: AnyCommand }
  | { readonly kind: "version" };

/**
 * One call of `lodestar`, from its words to its exit status. Writes only through `io`; never throws.
 *
 * @param argv the words after `lodestar`.
 */
export async function runCli(argv: readonly string[], io: Io, house: House): Promise<number> {
  if (argv[0] === "completions" && argv[1]?.startsWith("--complete=")) {
    return (await import("./complete.ts")).complete(argv[1].slice("--complete=".length), argv.slice(3), io, house);
  }
  const face = faceOf(argv, io);
  try {
    const call = await understand(argv, house);
    switch (call.kind) {
      case "version":
        await face.data({ version: VERSION }, () => `lodestar ${VERSION}`);
        return 0;
      case "schema": {
        const { input, output } = call.command;
        await face.data({ input, output }, () => JSON.stringify({ input, output }, null, 2));
        return 0;
      }
      case "help":
      case "explain":
        await showHelp(call.kind, call.node, call.command, face, house);
        return 0;
      case "run":
        return await runCommand(call.command, call.parsed, face, io, house);
    }
  } catch (cause) {
    debug(cause, io);
    return await face.answer(refusal(cause), [], undefined);
  }
}

/** The answer to a failure that nobody caught: a defect of ours, told like any other failure. */
export function failUnexpectedly(argv: readonly string[], io: Io, cause: unknown): Promise<number> {
  debug(cause, io);
  return faceOf(argv, io).answer(refusal(cause), [], undefined);
}

/** Only on request, and never on standard output: where an unexpected failure comes from. */
function debug(cause: unknown, io: Io): void {
  const wanted = io.env.LODESTAR_DEBUG;
  if (wanted === undefined || wanted === "" || wanted === "0" || cause instanceof LodestarError) return;
  io.err(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
}

const nothing = (name: string) =>
  define({
    name,
    effect: "read",
    summary: "",
    explain: "",
    input: Shape({}),
    output: Shape({}),
    run: async () => ({}),
    view: () => [],
  });

/** Finds the command that argv names and reads its options; of several ways to read it, the first that fits. */
async function understand(argv: readonly string[], house: House): Promise<Call> {
  const usual = plainReading(house, argv);
  const asksHelp = mentions(argv, "--help", "-h");
  const modes = { explain: mentions(argv, "--explain"), version: mentions(argv, "--version", "-v") };
  let failure: unknown;
  let stray: LodestarError | undefined;
  let tried = 0;
  for (const reading of usual === undefined ? readings(treeOf(house), argv) : [usual]) {
    if (++tried > MOST_READINGS) break;
    const { node, words, unknown, help } = reading;
    const name = nameOf(node);
    const own = name === "" ? BARE : name;
    const loaded = Object.hasOwn(house.registry, own) ? await house.registry[own]?.() : undefined;
    const command = loaded?.default;
    const isGroup = Object.keys(childrenOf(node)).length > 0;
    if (unknown !== undefined && (name === "" || (command?.positional.length ?? 0) === 0)) {
      stray ??= unknownCommand(unknown, reading, house);
      continue;
    }
    if (asksHelp || help) return { kind: "help", node, ...(isGroup || command === undefined ? {} : { command }) };
    try {
      const parsed = parse(command ?? nothing(name), words, argv);
      // `upgrade --version X` names a version, and asks for none.
      const asksVersion = modes.version && parsed.globals.version && parsed.input.version === undefined;
      if (asksVersion) return { kind: "version" };
      if (modes.explain && parsed.globals.explain) {
        return { kind: "explain", node, ...(isGroup || command === undefined ? {} : { command }) };
      }
      if (command === undefined) {
        if (parsed.globals.schema) throw usage("Only commands have a schema, groups have none.", name);
        return { kind: "help", node };
      }
      if (parsed.globals.schema) return { kind: "schema", command };
      return { kind: "run", command, parsed };
    } catch (cause) {
      failure ??= cause;
    }
  }
  throw failure ?? stray ?? new LodestarError("USAGE", "The command line cannot be understood.");
}

function unknownCommand(word: string, { node }: Reading, { registry }: House): LodestarError {
  const name = nameOf(node);
  const near = nearest(word, Object.keys(childrenOf(node)));
  // `lodestar claim`: the right word, without its group.
  const deeper = Object.keys(registry)
    .map(wordsOf)
    .filter((words) => words.length > 1 && words.at(-1) === word);
  const suggestions = [
    ...near.map((found) => `${spoken(name)} ${found}`),
    ...deeper.map((words) => `lodestar ${words.join(" ")}`),
  ].slice(0, 3);
  const what = name === "" ? `Unknown command "${word}".` : `Unknown command "${word}" of \`${spoken(name)}\`.`;
  return usage(`${what}${didYouMean(suggestions, "`")}`, name, {
    command: word,
    ...(suggestions.length === 0 ? {} : { suggestions }),
  });
}

/** How answers are written for whoever asked. */
interface Face {
  readonly json: boolean;
  /** Writes data that no command made. */
  data(data: unknown, text: () => string | Promise<string>): Promise<void>;
  /** Writes one of many answers; false when nobody reads any more. */
  item(data: unknown, view: () => readonly View[], redraws: boolean, warnings: readonly string[]): Promise<boolean>;
  /** Writes what a command says in another program's protocol; returns the exit status. None: this face has one form for all. */
  readonly raw?: (raw: Raw) => Promise<number>;
  /** Writes an answer; returns the exit status. */
  answer(answer: Answer, next: readonly EnvelopeAction[], data: unknown): Promise<number>;
}

function faceOf(argv: readonly string[], io: Io): Face {
  if (mentions(argv, "--json")) {
    const print = (envelope: unknown) =>
      io.out(io.isTerminal("out") ? JSON.stringify(envelope, null, 2) : JSON.stringify(envelope));
    return {
      json: true,
      async data(data) {
        print({ ok: true, data, next: [], warnings: [] });
      },
      async item(data) {
        return io.offer(JSON.stringify(data));
      },
      async answer(answer, next, data) {
        const { warnings } = answer;
        if (answer.ok) print({ ok: true, data, next, warnings });
        else print({ ok: false, error: answer.error, data: answer.data, next, warnings });
        return answer.exit;
      },
    };
  }
  // People are worth the modules that lay out text; JSON does without them.
  let layout: Promise<People> | undefined;
  const people = () => {
    layout ??= import("./people.ts").then(({ people }) => people(argv, io));
    return layout;
  };
  return {
    json: false,
    async data(_data, text) {
      io.out(await text());
    },
    async item(_data, view, redraws, warnings) {
      return (await people()).item(view(), redraws, warnings);
    },
    async raw({ stdout = "", stderr = "", exit }) {
      const { sanitise } = await import("../render/sanitise.ts");
      if (stdout !== "") io.out(sanitise(stdout));
      if (stderr !== "") io.err(sanitise(stderr));
      return exit;
    },
    async answer(answer, next) {
      await (await people()).answer(answer, next);
      return answer.exit;
    },
  };
}

async function showHelp(
  kind: "help" | "explain",
  node: CommandDef,
  command: AnyCommand | undefined,
  face: Face,
  house: House,
): Promise<void> {
  const { commandExplanation, commandHelp, describeGroup, groupHelp } = await import("./help.ts");
  const { describe } = await import("./describe.ts");
  const { plain } = await import("../render/terminal.ts");
  const data = command === undefined ? await describeGroup(node, house) : describe(command);
  await face.data(data, () => {
    if (command === undefined) return groupHelp(node, house, plain, kind);
    return kind === "help" ? commandHelp(command, plain) : commandExplanation(command, plain);
  });
}

const noField =
  ({ name }: AnyCommand): Refuse =>
  (message, details) =>
    usage(`--fields: ${message}`, name, { option: "--fields", ...details });

async function runCommand(command: AnyCommand, parsed: Parsed, face: Face, io: Io, house: House): Promise<number> {
  const { globals } = parsed;
  const paths = globals.fields === undefined ? undefined : readFields(command, globals.fields, noField(command));
  const input = await readSources(command, parsed, io);
  const place = {
    cwd: io.cwd,
    env: io.env,
    ...(globals.repo === undefined ? {} : { repo: globals.repo }),
    ...(globals.agent === undefined ? {} : { agent: globals.agent }),
  };
  const context = await house.openContext({
    ...place,
    ...(globals.idempotency_key === undefined ? {} : { idempotency_key: globals.idempotency_key }),
    interactive: !face.json && io.isTerminal("in") && io.isTerminal("out"),
    confirm: io.confirm,
    stdin: io.readStdin,
    nextStdin: io.nextStdin,
    programs: async () => (await import("./programs.ts")).programs(io, { json: face.json, quiet: globals.quiet }),
  });
  if (command.stream?.asked(input)) return follow(command, command.stream, input, context, paths, face);
  // The pipeline turns what is thrown into an answer; the stack is only kept for who asks for it.
  const watched: AnyCommand = {
    ...command,
    run: (values: unknown, given) =>
      Promise.resolve(command.run(values, given)).catch((cause: unknown) => {
        debug(cause, io);
        throw cause;
      }),
  };
  const answer = await execute(io.env.LODESTAR_DEBUG === undefined ? command : watched, input, context);
  if (command.raw !== undefined && face.raw !== undefined) return face.raw(command.raw(resultOf(answer), input));
  const server = command.serve?.asked(input) === true ? house.servers?.[command.serve.face] : undefined;
  if (answer.ok && server !== undefined && io.channels !== undefined) {
    const { serve } = await server();
    const { registry } = house;
    const open = async (call: ServedCall) => house.openContext({ ...place, ...call, interactive: false });
    await serve({ ...(await io.channels()), input, registry, open, log: io.err });
    return 0;
  }
  const wanted = face.json ? 1 : globals.quiet ? 0 : 3;
  const next = await nextLines(answer.next.slice(0, wanted), globals, house);
  const data = paths === undefined || !answer.ok ? answer.data : chooseFields(answer.data, command.items, paths);
  return face.answer(answer, next, data);
}

const resultOf = ({ error, data, warnings }: Answer): Result<unknown> =>
  error === undefined ? { ok: true, data, warnings } : { ok: false, message: error.message, warnings };

/** Answers as long as something comes and somebody reads. */
async function follow(
  command: AnyCommand,
  { items, view, redraws }: NonNullable<AnyCommand["stream"]>,
  input: Record<string, unknown>,
  context: Context,
  paths: readonly (readonly string[])[] | undefined,
  face: Face,
): Promise<number> {
  if (!command.anywhere && !context.initialized) {
    throw context.problem ?? new LodestarError("NOT_INITIALIZED", `Lodestar is not set up in ${context.cwd}`);
  }
  for await (const item of items(input, context)) {
    const data = paths === undefined ? item : pick(item, paths);
    if (!(await face.item(data, () => view(item), redraws, context.warnings))) break;
  }
  return 0;
}

/** Reads the texts that stand in files or come on standard input. */
async function readSources(
  command: AnyCommand,
  { input, globals, sources }: Parsed,
  io: Io,
): Promise<Record<string, unknown>> {
  const read = { ...input };
  for (const { field, option, path } of sources) {
    let text: string;
    try {
      text = path === undefined ? io.readStdin() : await io.readFile(path, globals.repo ?? "");
    } catch (cause) {
      const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
      throw new LodestarError("PATH_NOT_FOUND", `${option}: "${path ?? "standard input"}" cannot be read${why}.`, {
        details: { option, path: path ?? "-" },
        cause,
      });
    }
    // The end of the last line belongs to the file, not to the text.
    read[field.name] = text.replace(/\r?\n$/, "");
    if (read[field.name] === "" && field.required)
      throw usage(`${option}: the text is empty.`, command.name, { option });
  }
  return read;
}

/** Next actions as lines to paste. Who named an agent on the command line needs to name it there, too. */
async function nextLines(actions: readonly NextAction[], globals: Globals, house: House): Promise<EnvelopeAction[]> {
  const lines: EnvelopeAction[] = [];
  for (const { command: name, input, why } of actions) {
    const loaded = Object.hasOwn(house.registry, name) ? await house.registry[name]?.() : undefined;
    if (loaded === undefined) continue;
    const command = loaded.default;
    const acts = fieldNames(command).includes("agent_id") && !command.positional.includes("agent_id");
    const agent =
      globals.agent !== undefined && acts && input.agent_id === undefined ? { agent_id: globals.agent } : {};
    lines.push({ intent: name, cmd: commandLine(command, { ...input, ...agent }), description: why });
  }
  return lines;
}
