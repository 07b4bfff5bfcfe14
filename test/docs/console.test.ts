/**
 * Runs every `console` block of README.md and docs/ with the compiled program and compares what it prints.
 *
 * - The blocks of one page share one sandbox: a fresh repository, an empty environment. `cd` and `export` last.
 * - A line that begins with `$ ` is a command for `sh`, lines with `> ` continue it; the lines after it are what it prints on
 *   both streams.
 * - A call that fails is followed by `[exit status N]`. A line `...` stands for any lines.
 * - What a page needs and does not show stands in a comment: `<!-- console: a command, or several in lines -->`.
 * - What differs from run to run ({@link VOLATILE}) is compared by kind. The first time a page shows such a value it names
 *   it: a later command of the page that holds the page's value is run with the real one.
 *
 * `LODESTAR_WRITE_DOCS=1 bun test test/docs/console.test.ts` writes what is printed into the pages; look at the difference.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { binary, sandbox } from "../support/sandbox.ts";
import { type Page, pages, ROOT } from "./pages.ts";

/** A page may start a whole fleet. */
const LONG = 60_000;

/** Where the pages say that everything happens. */
const SHOWN_PATH = "/home/you/shop";

/** kind → what it looks like. */
const VOLATILE: Readonly<Record<string, RegExp>> = {
  time: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/,
  agent: /\bA[0-9A-HJKMNP-TV-Z]{8}\b/,
  lease: /\bL[0-9A-HJKMNP-TV-Z]{12}\b/,
  message: /\bM[0-9A-HJKMNP-TV-Z]{12}\b/,
  task: /\bT-[0-9a-hjkmnp-tv-z]{4,6}\b/,
  /** Tokens and sequence numbers begin at the clock. */
  number: /\b[12]\d{12}\b/,
  commit: /\b[0-9a-f]{40}\b/,
  abbreviated: /(?<=\(then, )[0-9a-f]{12}/,
  /** What is left of a lease that was just granted. */
  left: /\b(?:15m|14m\d+s)\b/,
  seconds: /(?<="seconds_left":)\d+/,
  reopen: /(?<="?reopens"?: ?\["?)[0-9a-hjkmnp-tv-z]{4}\b/,
};
const ANY = new RegExp(
  Object.entries(VOLATILE)
    .map(([kind, { source }]) => `(?<${kind}>${source})`)
    .join("|"),
  "g",
);

const kindOf = (groups: Readonly<Record<string, string | undefined>> = {}) =>
  Object.keys(groups).find((kind) => groups[kind] !== undefined) ?? "";
const normalise = (text: string) => text.replaceAll(ANY, (...found) => `<${kindOf(found.at(-1))}>`);

/** The volatile values of a text, each once, by kind. */
function valuesOf(text: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const { 0: value, groups } of text.matchAll(ANY)) {
    const kind = kindOf(groups);
    values.set(kind, [...new Set([...(values.get(kind) ?? []), value])]);
  }
  return values;
}

interface Step {
  readonly command: string;
  readonly shown: readonly string[];
  /** Lines of the page that hold `shown`: from, to (excluded). Absent for a hidden command. */
  readonly lines?: readonly [number, number];
}

/** The commands of a page in order, with what it says that they print. */
function stepsOf(text: string): Step[] {
  const lines = text.split("\n");
  const steps: Step[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (/^<!-- console:/.test(lines[i] ?? "")) {
      const start = i;
      while (!(lines[i] ?? "-->").includes("-->")) i++;
      const hidden = lines
        .slice(start, i + 1)
        .join("\n")
        .replace(/^<!-- console:/, "")
        .replace(/-->[\s\S]*$/, "");
      steps.push(
        ...hidden
          .split("\n")
          .map((line) => line.trim())
          .filter((line) => line !== "")
          .map((command) => ({ command, shown: ["..."] })),
      );
    }
    if (lines[i] !== "```console") continue;
    for (i++; i < lines.length && lines[i] !== "```"; ) {
      let command = /^\$ (.+)$/.exec(lines[i] ?? "")?.[1];
      if (command === undefined) throw new Error(`Line ${i + 1}: a console block begins with a command.`);
      while (lines[i + 1]?.startsWith("> ")) command += `\n${lines[++i]?.slice(2)}`;
      const from = ++i;
      while (i < lines.length && lines[i] !== "```" && !lines[i]?.startsWith("$ ")) i++;
      steps.push({ command, shown: lines.slice(from, i), lines: [from, i] });
    }
  }
  return steps;
}

/** Does what was printed fit what is shown, where `...` stands for any lines? */
function fits(shown: string, printed: string): boolean {
  const parts = shown.split(/^\.\.\.$/m).map((part) => RegExp.escape(part.replaceAll(/^\n|\n$/g, "")));
  return new RegExp(`^${parts.join("\\n?[\\s\\S]*\\n?")}$`).test(printed);
}

async function play({ path, text }: Page): Promise<string> {
  using here = sandbox();
  const folder = dirname(here.path);
  mkdirSync(join(folder, "bin"));
  symlinkSync(binary(), join(folder, "bin", "lodestar"));
  const state = join(folder, "state");
  writeFileSync(state, `cd ${here.path}\n`);
  const real = new Map<string, string>();
  const lines = text.split("\n");
  let moved = 0;
  for (const { command, shown, lines: place } of stepsOf(text)) {
    const call = [...real].reduce(
      (made, [from, to]) => made.replaceAll(from, to),
      command.replaceAll(SHOWN_PATH, here.path),
    );
    const script = `. "${state}"\n{ ${call}\n}\ncode=$?\n{ export -p; echo "cd '$PWD'"; } > "${state}"\nexit $code`;
    const child = Bun.spawn(["sh", "-c", `exec 2>&1\n${script}`], {
      cwd: here.path,
      env: {
        PATH: `${join(folder, "bin")}:${process.env.PATH ?? ""}`,
        HOME: join(folder, "home"),
        GIT_CONFIG_NOSYSTEM: "1",
        TZ: "UTC",
        LC_ALL: "C.UTF-8",
      },
      stdin: "ignore",
      stdout: "pipe",
    });
    const printed = (await new Response(child.stdout).text())
      .replaceAll(here.path, SHOWN_PATH)
      .replaceAll(folder, dirname(SHOWN_PATH));
    const exit = await child.exited;
    const whole = `${printed.trimEnd()}${exit === 0 ? "" : `\n[exit status ${exit}]`}`.replace(/^\n/, "");
    const documented = shown.join("\n").trimEnd();
    const now = valuesOf(whole);
    for (const [kind, values] of valuesOf(documented)) {
      for (const [i, value] of values.entries()) {
        const found = now.get(kind)?.[i];
        if (found !== undefined) real.set(value, found);
      }
    }
    if (process.env.LODESTAR_WRITE_DOCS === "1" && place !== undefined && !documented.includes("...")) {
      // What has a name on the page keeps it.
      const named = new Map([...real].map(([value, found]) => [found, value]));
      const kept = whole.replaceAll(ANY, (value) => named.get(value) ?? value);
      const replaced = kept === "" ? [] : kept.split("\n");
      lines.splice(place[0] + moved, place[1] - place[0], ...replaced);
      moved += replaced.length - (place[1] - place[0]);
      continue;
    }
    const fitting = fits(normalise(documented), normalise(whole));
    if (!fitting)
      expect({ path, command, printed: normalise(whole) }).toEqual({ path, command, printed: normalise(documented) });
  }
  return lines.join("\n");
}

const shown = pages().filter(({ text }) => text.includes("```console"));

test("there are pages to check, README.md first", () => {
  expect(shown.map(({ path }) => path)).toContain("README.md");
});

test.skipIf(process.platform === "win32").each(shown.map((page) => [page.path, page] as const))(
  "%s shows what really happens",
  async (path, page) => {
    const text = await play(page);
    if (process.env.LODESTAR_WRITE_DOCS === "1" && text !== page.text) writeFileSync(join(ROOT, path), text);
    else expect(readFileSync(join(ROOT, path), "utf8")).toBe(page.text);
  },
  LONG,
);
