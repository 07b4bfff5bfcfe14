/** What stands where a text was cut. */
const MARK = "…";

/** Where a text may end, better first. */
interface Ends {
  paragraph: number;
  sentence: number;
  word: number;
}

const FENCE = /^[ \t>*+-]*(?:\d+[.)][ \t]+)?(`{3,}|~{3,})(.*)$/;
const ITEM = /^[ \t>]*(?:[*+-]|\d+[.)]|\|)[ \t]?/;
const HEADING = /^ {0,3}#{1,6}(?:[ \t]|$)/;
const SENTENCE = /[.!?…。！？]["'”’)\]]*(?=\s|$)/g;

/**
 * The beginning of a Markdown text that takes at most `room`, with `…`: cut between paragraphs where half of the room is used by then, else
 * between sentences, else between words. Never inside a code fence: half of an example misleads more than none.
 *
 * @param size what a text takes; by default its characters. A character takes at least one.
 * @returns the text itself when it fits; `""` when nothing of it does.
 */
export function cutText(text: string, room: number, size: (part: string) => number = (part) => part.length): string {
  if (text.length <= room && size(text) <= room) return text;
  const mark = size(`\n${MARK}`);
  let length = Math.min(text.length, Math.max(0, room - mark));
  while (length > 0 && size(text.slice(0, length)) > room - mark) length = Math.floor(length * 0.9);
  const part = text.slice(0, length);
  const { paragraph, sentence, word } = endsOf(part, text[length] ?? "");
  const end = paragraph >= length / 2 ? paragraph : sentence > paragraph ? sentence : paragraph > 0 ? paragraph : word;
  const kept = part.slice(0, end).trimEnd();
  if (kept === "") return "";
  return `${kept}${end === paragraph ? "\n" : end === sentence ? " " : ""}${MARK}`;
}

function endsOf(part: string, after: string): Ends {
  const ends: Ends = { paragraph: 0, sentence: 0, word: 0 };
  let fence = "";
  let isHeading = false;
  let at = 0;
  for (const line of part.split("\n")) {
    // The part ends where a line begins: what line, it does not say.
    if (line === "" && at === part.length && after !== "\n") break;
    const [, mark = "", info = ""] = FENCE.exec(line) ?? [];
    if (fence === "") {
      // Before an example, and before an item of a list or a row of a table.
      // A heading alone says nothing.
      if (mark !== "" || line.trim() === "") ends.paragraph = isHeading ? ends.paragraph : at;
      else if (ITEM.test(line)) ends.sentence = at;
      if (line.trim() !== "") isHeading = HEADING.test(line);
      if (mark !== "") fence = mark;
      else if (!isHeading) sentencesOf(line, at, at + line.length === part.length ? after : "\n", ends);
    } else if (mark.startsWith(fence) && info.trim() === "" && at + line.length < part.length) {
      fence = "";
      ends.paragraph = at + line.length;
    }
    at += line.length + 1;
  }
  return ends;
}

/** @param after the character behind the line: a stop at the very end is one only when the text goes on with a space. */
function sentencesOf(line: string, at: number, after: string, ends: Ends): void {
  for (const found of line.matchAll(SENTENCE)) {
    const end = found.index + found[0].length;
    if (end < line.length || /\s/.test(after)) ends.sentence = at + end;
  }
  const space = /\s/.test(after) ? line.length : line.lastIndexOf(" ");
  if (space > 0) ends.word = at + space;
}
