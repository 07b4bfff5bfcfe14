const MARKS = /\p{M}/gu;
/** Keeps subject and text apart: no word that is looked for holds it. */
const BETWEEN = "\u0001";
const NUL = String.fromCharCode(0);

/** A text as search compares it: lower case, without accents. */
export function fold(text: string, subject?: string): string {
  const folded = (part: string) => part.normalize("NFD").replaceAll(MARKS, "").toLowerCase();
  return subject === undefined ? folded(text) : `${folded(text)}${BETWEEN}${folded(subject)}`;
}

/** Words to look for, as {@link fold} has left them in texts. A NUL is in no text, so it only separates. */
export function foldWords(words: readonly string[]): string[] {
  return words
    .flatMap((word) => word.split(NUL))
    .map((word) => fold(word))
    .filter((word) => word !== "");
}
