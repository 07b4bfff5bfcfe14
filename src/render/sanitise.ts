/**
 * Characters that act on a terminal instead of being shown: control characters (which begin every escape sequence), marks
 * that reorder text, line separators, invisible tags, and halves of surrogate pairs. Tab and line feed are not among them.
 *
 * @see Boucher and Anderson, "Trojan Source: Invisible Vulnerabilities", 2021, for the reordering marks.
 */
const ACTING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** `␛` for an escape, `<U+202E>` for what has no picture of its own. */
function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  if (code >= 0xd800 && code <= 0xdfff) return "\ufffd";
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/** Text that may hold anything, made safe to show: what would act on the terminal is shown instead. Keeps tabs and line ends. */
export function sanitise(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ACTING, visible);
}

/** The same for a text that must stay on one line. */
export function sanitiseLine(text: string): string {
  return sanitise(text)
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll("\t", " ");
}

/** JSON in which what would act on a terminal is written as `\u` escapes: shown safely, and still the same value. */
export function escapeActing(json: string): string {
  return json.replace(ACTING, (character) =>
    // By halves: JSON writes what lies outside the first plane as a surrogate pair.
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
