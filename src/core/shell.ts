/** One word of a POSIX shell, quoted where it needs to be: what we print to be pasted must do nothing but what it says. */
export function quote(word: string): string {
  return /^[\w@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
