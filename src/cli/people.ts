import type { EnvelopeAction } from "../commands/envelope.ts";
import type { Answer } from "../commands/execute.ts";
import type { View } from "../core/view.ts";
import { drawn } from "../render/graph.ts";
import { sanitise, sanitiseLine } from "../render/sanitise.ts";
import { colours, type Page, type Paint, pad, plain, renderTerminal, wrap } from "../render/terminal.ts";
import type { Io } from "./io.ts";
import { mentions } from "./parse.ts";

const isSet = (value: string | undefined) => value !== undefined && value !== "";

/** Are colours wanted on this stream? */
function coloured(argv: readonly string[], io: Io, stream: "out" | "err"): boolean {
  const refused = mentions(argv, "--no-color") || isSet(io.env.NO_COLOR) || isSet(io.env.LODESTAR_NO_COLOR);
  return !refused && io.env.TERM !== "dumb" && io.isTerminal(stream);
}

/** Facts of an error that people need line by line: places in a file, and which of several ids failed why. */
function detailLines(details: Readonly<Record<string, unknown>>): string[] {
  const lines: string[] = [];
  for (const value of Object.values(details)) {
    if (!Array.isArray(value)) continue;
    for (const item of value) {
      if (typeof item !== "object" || item === null) continue;
      const { file, path, line, column, message, task_id, id } = item as Readonly<Record<string, unknown>>;
      if (typeof message !== "string") continue;
      const place = line === undefined ? [] : [file ?? (typeof path === "string" ? path : details.path), line, column];
      const subject = place.filter((part) => part !== undefined).join(":");
      const name = subject || (task_id ?? id);
      if (name !== undefined && name !== "") lines.push(`${String(name)}: ${message}`);
    }
  }
  return lines;
}

/** Moves to the top left corner and clears what is below. */
const CLEAR = "\u001b[H\u001b[J";

export interface People {
  answer(answer: Answer, next: readonly EnvelopeAction[]): Promise<void>;
  /** One of many answers; false when nobody reads any more. */
  item(views: readonly View[], redraws: boolean, warnings: readonly string[]): Promise<boolean>;
}

/** Writes answers for people: the result on standard output, all else on standard error. */
export async function people(argv: readonly string[], io: Io): Promise<People> {
  const quiet = mentions(argv, "--quiet");
  const paintOf = async (stream: "out" | "err"): Promise<Paint> => (coloured(argv, io, stream) ? colours() : plain);
  const page: Page = {
    width: io.isTerminal("out") ? io.columns() : Number.POSITIVE_INFINITY,
    paint: await paintOf("out"),
  };
  let warned = 0;
  const warn = (warnings: readonly string[], paint: Paint) => {
    for (const warning of warnings.slice(warned)) io.err(`${paint("warn", "Warning:")} ${sanitise(warning)}`);
    warned = warnings.length;
  };
  return {
    async item(views, redraws, warnings) {
      if (!quiet) warn(warnings, await paintOf("err"));
      const text = renderTerminal(views, page);
      return io.offer(redraws && io.isTerminal("out") ? CLEAR + text : text);
    },
    async answer(answer, next) {
      const result = renderTerminal(await drawn(answer.view(), page), page);
      if (result !== "") io.out(result);
      const paint = await paintOf("err");
      if (answer.error !== undefined) {
        const { message, hint, details } = answer.error;
        io.err(`${paint("bad", "Error:")} ${sanitise(message)}`);
        // The only problem of a file is the message already.
        for (const line of detailLines(details)) if (line !== message) io.err(`  ${sanitiseLine(line)}`);
        io.err(`${paint("strong", "Hint:")} ${sanitise(hint)}`);
      }
      if (quiet) return;
      warn(answer.warnings, paint);
      if (next.length > 0) io.out(nextSteps(next, page, result !== ""));
    },
  };
}

/** What to do next: each line to paste stands alone, so that it can be selected whole. */
function nextSteps(next: readonly EnvelopeAction[], { width, paint }: Page, apart: boolean): string {
  const widest = Math.max(...next.map(({ cmd }) => Bun.stringWidth(cmd)));
  const beside = widest + 4 + 20 <= width;
  const lines = next.flatMap(({ cmd, description }) => {
    const why = sanitiseLine(description);
    if (beside) return [`  ${pad(sanitise(cmd), widest)}  ${paint("faint", why)}`];
    return [`  ${sanitise(cmd)}`, ...wrap(why, width - 6).map((line) => `      ${paint("faint", line)}`)];
  });
  return [...(apart ? [""] : []), `${paint("strong", "Next steps")}:`, ...lines].join("\n");
}
