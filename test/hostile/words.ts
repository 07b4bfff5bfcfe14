/** Texts that act where they should only be shown: on terminals, shells, paths, prototypes, parsers. */
import type { SeededRandom } from "../support/clock.ts";

/** The shell commands in them make this file, in the folder where they are run. */
export const CANARY = "CANARY";

/** What acts on a terminal: escape sequences, controls, marks that reorder, invisible and split characters. */
export const ACTING_WORDS = [
  "\u001b[31mred\u001b[0m",
  "\u001b]0;title\u0007",
  "\u001b]8;;http://x.invalid\u001b\\link\u001b]8;;\u001b\\",
  "\u001b]52;c;Y2FuYXJ5\u0007",
  "\u001b[2J\u001b[H",
  "\u001bP+q544e\u001b\\",
  "\u009b31m",
  "\u009d0;title\u009c",
  "\u0085",
  "\r",
  "a\rb",
  "\b\b\b",
  "\u0000",
  "\u0007",
  "\u007f",
  "\u202etxt.exe",
  "\u2066a\u2069",
  "\u200e\u200f\u061c",
  "\u2028\u2029",
  "\ufeff",
  "\u{e0041}\u{e007f}",
  "\ud800",
  "\udfff!",
  "\u200b\u2060",
] as const;

export const SHELL_WORDS = [
  `$(touch ${CANARY})`,
  `\`touch ${CANARY}\``,
  `; touch ${CANARY} #`,
  `' ; touch ${CANARY} ; '`,
  `" ; touch ${CANARY} ; "`,
  `| touch ${CANARY}`,
  `&& touch ${CANARY}`,
  `> ${CANARY}`,
  `\ntouch ${CANARY}\n`,
  "$HOME",
  "~",
  "*",
  "!!",
  "\\",
] as const;

const OTHER_WORDS = [
  "../../../etc/passwd",
  "..",
  "/etc/passwd",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "-",
  "--",
  "--json",
  "-x",
  "@/etc/passwd",
  "null",
  "true",
  "123",
  "1e999",
  "=======",
  "<<<<<<< ours",
  "%s%n",
  "{}",
  "[]",
  "'",
  '"',
  "&a",
  "*a",
  "!!js/function x",
  "|",
  "# x",
  "- x",
  "? x",
  "a: b",
  "\t",
  "\n",
  "\r\n",
  " ",
  "",
  "é",
  "e\u0301",
  "😀",
  "👩‍👩‍👧",
  "日本",
  "ﷺ",
  "x".repeat(300),
  "ab ".repeat(5000),
] as const;

const ALL = [...ACTING_WORDS, ...SHELL_WORDS, ...OTHER_WORDS];

/** One to three of them, perhaps with harmless letters around. */
export function hostileText(random: SeededRandom): string {
  let text = random.below(3) === 0 ? "a" : "";
  for (let parts = 1 + random.below(3); parts > 0; parts -= 1) text += random.pick(ALL);
  return random.below(3) === 0 ? `${text}z` : text;
}
