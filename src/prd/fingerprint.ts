import type { Section } from "./section.ts";
import { decode } from "./text.ts";

/** SHA-256 of a text, in hexadecimal. */
export const hashOf = (text: string | Uint8Array): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");

const TITLE_DIGITS = 8;
const BODY_DIGITS = 32;

/**
 * What is frozen of a section: one part for its heading, one for what is below it. Two parts, because a renamed heading leaves the text
 * as it was, and a changed heading over the same text is still a change.
 */
export function fingerprintOf({ title_hash, body_hash }: Pick<Section, "title_hash" | "body_hash">): string {
  return `${title_hash.slice(0, TITLE_DIGITS)}-${body_hash.slice(0, BODY_DIGITS)}`;
}

/** The part of a fingerprint that says what is below the heading; `""` when nothing is, or for a hash of another kind. */
export function bodyPart(fingerprint: string): string {
  return /^[0-9a-f]{8}-([0-9a-f]{32})$/.exec(fingerprint)?.[1] ?? "";
}

const CARRIAGE_RETURN = 13;

/**
 * The hash of a whole source, as Lodestar 1.0 writes it in `prd_hash`: SHA-256 of the text with its line ends read as line feeds, so that
 * a checkout with other line ends is no change.
 */
export function sourceHash(bytes: Uint8Array): string {
  if (!bytes.includes(CARRIAGE_RETURN)) return hashOf(bytes);
  return hashOf(decode(bytes).replaceAll(/\r\n?/g, "\n"));
}
