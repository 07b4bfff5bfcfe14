import { check, type Issue } from "../core/check.ts";
import { CODES, LodestarError } from "../core/errors.ts";
import { parseTtl } from "../core/time.ts";
import type { Shown } from "../core/view.ts";
import { DamagedIndex } from "../spec/damaged-index.ts";
import type { AnyCommand, NextAction } from "./command.ts";
import type { Context } from "./context.ts";
import type { EnvelopeError } from "./envelope.ts";

/** What came of a call, before a face writes it down. */
export interface Answer {
  readonly ok: boolean;
  readonly exit: number;
  /** Only when not ok. */
  readonly error?: EnvelopeError;
  readonly data: unknown;
  readonly next: readonly NextAction[];
  readonly warnings: readonly string[];
  /** Made on demand: an answer in JSON never needs it. */
  readonly view: () => readonly Shown[];
}

/**
 * The one pipeline of every face: check the input, answer a repeated request as before, run, put right what earlier calls left behind,
 * suggest what is next. It never throws: what is not a LodestarError becomes `INTERNAL`.
 *
 * @param input fields as the command's schema has them (a face has already turned its own syntax into values).
 */
export async function execute(command: AnyCommand, input: Record<string, unknown>, context: Context): Promise<Answer> {
  try {
    const issues = check(command.input, input);
    // How long a lease may last has a code of its own, whichever face it came from.
    if (issues.some(({ path }) => path[0] === "ttl") && typeof input.ttl === "string") parseTtl(input.ttl);
    if (issues.length > 0) throw usageError(command, issues);
    requirePlace(command, context);
    context.begin(command, input);
    const writes = writesPlanes(command, input);
    const answer = () => (writes ? answerOnce(command, input, context) : command.run(input, context));
    const data = await withSoundIndex(answer, context);
    if (writes) {
      const { settleUp } = await import("./settle-up.ts");
      await settleUp(command, input, context);
    }
    // Nothing is waited for between here and the moment when a face writes the answer: who breaks off later has had it.
    if (context.signal?.aborted === true) {
      await context.undo();
      throw new LodestarError("TIMEOUT", `${command.name} was broken off by who asked for it.`);
    }
    return {
      ok: true,
      exit: 0,
      data,
      next: command.next(data, input),
      warnings: context.warnings,
      view: () => command.view(data, input),
    };
  } catch (cause) {
    return refusal(cause, context.warnings);
  }
}

/** The index is a cache: one that proves to be damaged is thrown away, and what has changed nothing yet begins again. */
async function withSoundIndex(answer: () => Promise<unknown>, context: Context): Promise<unknown> {
  try {
    return await answer();
  } catch (cause) {
    if (!(cause instanceof DamagedIndex)) throw cause;
    context.spec.discardIndex();
    if (context.has_written) throw cause;
    return await answer();
  }
}

/** False for what only reads, and for the few commands that set up or take down the planes themselves. */
function writesPlanes(command: AnyCommand, input: Record<string, unknown>): boolean {
  return command.effect === "write" && !command.anywhere && command.only_reads?.(input) !== true;
}

function requirePlace(command: AnyCommand, context: Context): void {
  if (command.anywhere || context.initialized) return;
  throw (
    context.problem ??
    new LodestarError("NOT_INITIALIZED", `Lodestar is not set up in ${context.cwd}`, { details: { path: context.cwd } })
  );
}

/**
 * With an idempotency key the first answer is kept and given again (L4). Commands whose effect is one step of the runtime record their
 * result in that very step too, under a key of their own, so that a crash before the answer was kept repeats nothing.
 */
async function answerOnce(command: AnyCommand, input: Record<string, unknown>, context: Context): Promise<unknown> {
  const idempotency = context.idempotency("");
  if (idempotency === undefined) return command.run(input, context);
  const runtime = await context.runtime();
  const intent = await runtime.intend(idempotency, {});
  if (intent.kind === "mismatch") {
    throw new LodestarError(
      "IDEMPOTENCY_MISMATCH",
      `The idempotency key ${JSON.stringify(idempotency.key)} belongs to another request.`,
      {
        details: { idempotency_key: idempotency.key },
      },
    );
  }
  if (intent.kind === "answered") return intent.answer;
  const data = await command.run(input, context);
  try {
    await runtime.complete(idempotency, data);
    // Of several that ran at once the first to complete has the word: all give its answer.
    const kept = await runtime.intend(idempotency, {});
    return kept.kind === "answered" ? kept.answer : data;
  } catch (cause) {
    // What was asked for is done. A repeat finds it so by the key of its step, or by what is there.
    if (!(cause instanceof LodestarError)) throw cause;
    context.warn(`The answer is not kept under the idempotency key: ${cause.message}`);
    return data;
  }
}

/** The answer for whatever was thrown, by a command or before there was one. */
export function refusal(cause: unknown, warnings: readonly string[] = []): Answer {
  const error = cause instanceof LodestarError ? cause : internal(cause);
  const { exit, retriable } = CODES[error.code];
  const { data, next, view, exit_status, ...details } = error.details as Record<string, unknown> & Carried;
  return {
    ok: false,
    exit: exit_status ?? exit,
    error: { code: error.code, message: error.message, hint: error.hint, retriable, details },
    data: data ?? {},
    next: next ?? [],
    warnings,
    view: view ?? (() => []),
  };
}

/** What a failing command may hand over beside its details: `doctor` fills `data` although it is unhealthy. */
interface Carried {
  readonly data?: unknown;
  readonly next?: readonly NextAction[];
  readonly view?: () => readonly Shown[];
  /** Where the code stands for several: `INTERRUPTED` by which signal. */
  readonly exit_status?: number;
}

function usageError(command: AnyCommand, issues: readonly Issue[]): LodestarError {
  const said = issues.map(({ path, message }) => `${path.join(".") || "input"} ${message}`);
  return new LodestarError("USAGE", `${command.name}: ${said.join("; ")}.`, {
    details: { issues: issues.map(({ path, message }) => ({ field: path.join("."), message })) },
    hint: `See \`lodestar ${command.name.replaceAll(".", " ")} --help\`.`,
  });
}

function internal(cause: unknown): LodestarError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new LodestarError("INTERNAL", `Lodestar failed unexpectedly: ${message}`, { cause });
}
