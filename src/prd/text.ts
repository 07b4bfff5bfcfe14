/** Text of a source; a byte order mark is kept, as in the hash. */
export function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** The lines of a source: whatever ends them, without a byte order mark. */
export function linesOf(text: string): string[] {
  return (text.startsWith("\ufeff") ? text.slice(1) : text).split(/\r\n|\r|\n/);
}

/** HTML without its comments; one that does not end goes to the end. */
export const withoutComments = (html: string): string => html.replaceAll(/<!--[\s\S]*?(?:-->|$)/g, "");
