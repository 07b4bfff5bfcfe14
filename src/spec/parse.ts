/** Parses one YAML document with Bun's parser, the fast one. @throws SyntaxError without a place. */
export function parseFast(text: string): unknown {
  // Bun 1.4 folds a CR LF inside quotes to a line end instead of a space; YAML reads both line ends alike.
  return Bun.YAML.parse(text.includes("\r") ? text.replaceAll("\r\n", "\n") : text);
}

/** The value of a text that Bun's parser understands; `undefined` when it does not. */
export function tryParse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: parseFast(text) };
  } catch {
    return undefined;
  }
}
