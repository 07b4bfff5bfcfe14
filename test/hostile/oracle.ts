/** What must hold of every answer, whatever was asked of whatever files. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CODES } from "../../src/core/errors.ts";

/** What one call wrote, and how it ended. */
export interface Said {
  readonly argv: readonly string[];
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export class Violation extends Error {
  override readonly name = "Violation";
}

/**
 * Written apart from the product's own table: every control character but line feed and tab, the marks that reorder text, invisible
 * tags, byte order marks, and halves of surrogate pairs.
 */
function actsOnTerminal(code: number): boolean {
  if (code < 0x20) return code !== 9 && code !== 10;
  if (code >= 0x7f && code <= 0x9f) return true;
  if (code >= 0xd800 && code <= 0xdfff) return true;
  if (code >= 0x202a && code <= 0x202e) return true;
  if (code >= 0x2066 && code <= 0x2069) return true;
  if (code >= 0xe0000 && code <= 0xe007f) return true;
  return [0x061c, 0x200e, 0x200f, 0x2028, 0x2029, 0xfeff].includes(code);
}

/** The first character of a text that would act on a terminal. */
export function actingCharacter(text: string): string | undefined {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (actsOnTerminal(code)) return `U+${code.toString(16)} in ${JSON.stringify(text.slice(0, 400))}`;
  }
  return undefined;
}

function fail(what: string, { argv, exit, out, err }: Said): never {
  throw new Violation(
    `${what}\n  ${JSON.stringify(argv).slice(0, 2000)}\n  exit ${exit}\n  ${out.slice(0, 2000)}\n  ${err.slice(0, 2000)}`,
  );
}

/** No defect, no stack trace; with `--json` one envelope and nothing else; for people nothing that acts on the terminal. */
export function checkAnswer(said: Said): void {
  const { argv, exit, out, err } = said;
  if (exit === 70 || out.includes('"INTERNAL"') || /failed unexpectedly/.test(err)) fail("INTERNAL", said);
  if (!Number.isInteger(exit) || exit < 0 || exit > 6) fail(`exit status ${exit}`, said);
  if (/^\s+at .+:\d+:\d+\)?$/m.test(err)) fail("a stack trace", said);
  const end = argv.indexOf("--");
  if (!(end < 0 ? argv : argv.slice(0, end)).includes("--json")) {
    const acting = actingCharacter(out) ?? actingCharacter(err);
    if (acting !== undefined) fail(`${acting} reached the terminal`, said);
    return;
  }
  if (argv.includes("--follow")) return;
  let envelope: unknown;
  try {
    envelope = JSON.parse(out);
  } catch {
    fail("no envelope", said);
  }
  const { ok, data, next, warnings, error } = envelope as {
    ok: unknown;
    data: unknown;
    next: unknown;
    warnings: unknown;
    error?: { code?: string };
  };
  if (typeof ok !== "boolean" || data === undefined || !Array.isArray(next) || !Array.isArray(warnings))
    fail("an incomplete envelope", said);
  if (ok !== (exit === 0)) fail("ok and the exit status differ", said);
  if (ok === false && CODES[error?.code as keyof typeof CODES]?.exit !== exit)
    fail("an error code without its exit status", said);
}

/** Every file below a folder with its bytes; `passes` leaves some out. */
export function snapshot(folder: string, passes: (path: string) => boolean): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string, name: string): void => {
    if (!passes(name)) return;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) for (const entry of readdirSync(path)) visit(join(path, entry), `${name}/${entry}`);
    else found.set(name, stat.isFile() ? readFileSync(path, "latin1") : String(stat.mode));
  };
  visit(folder, "");
  return found;
}

/** Files that were made, changed or removed. */
export function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}
