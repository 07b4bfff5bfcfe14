/**
 * A block of ours at the end of a text that is somebody else's. The text ends after it as it ended before, with or without a line end:
 * by that {@link cut} knows what was there.
 */
export function append(text: string | undefined, block: string): string {
  if (text === undefined) return `${block}\n`;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const written = block.replaceAll("\n", eol);
  if (text === "") return written;
  return text.endsWith("\n") ? `${text}${eol}${written}${eol}` : `${text}${eol}${eol}${written}`;
}

/**
 * The text before the block was appended, byte for byte; `undefined` when there was none. Where somebody has written after the block
 * it goes with one line end.
 *
 * @param written the block as it stands in the text.
 */
export function cut(text: string, written: string): string | undefined {
  const block = written.replaceAll("\r\n", "\n");
  const at = text.indexOf(written);
  const before = text.slice(0, at);
  const candidates = [
    undefined,
    "",
    ...["\n", "\r\n", "\n\n", "\r\n\r\n"].flatMap((gap) => (before.endsWith(gap) ? before.slice(0, -gap.length) : [])),
  ];
  for (const candidate of candidates) if (append(candidate, block) === text) return candidate;
  // Made for the block, and checked out with other line ends.
  if (text === `${written}\r\n`) return undefined;
  return before.replace(/\r?\n$/, "") + text.slice(at + written.length);
}
