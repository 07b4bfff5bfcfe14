const DIGITS = 12;
const SEAL = new RegExp(`\\bseal ([0-9a-f]{${DIGITS}})\\b`);
const UNSEALED = "seal -";

/** What it is a seal of does not change with the line ends of a checkout. */
function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex").slice(0, DIGITS);
}

/**
 * A text of ours that lies in somebody else's folder, with the hash of the rest where it says {@link UNSEALED}: so a later version can
 * tell whether anybody has changed it since, though it no longer knows what was written then.
 */
export const sealed = (text: string): string => text.replace(UNSEALED, `seal ${digest(text)}`);

/**
 * Whether a text is as a Lodestar wrote it, of this version or of another.
 *
 * @param earlier digests of what was written before there were seals.
 */
export function isAsWritten(text: string, earlier: readonly string[]): boolean {
  const found = SEAL.exec(text)?.[1];
  return found === undefined
    ? earlier.includes(digest(text))
    : digest(text.replace(`seal ${found}`, UNSEALED)) === found;
}
