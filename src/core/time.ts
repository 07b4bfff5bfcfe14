import { LodestarError } from "./errors.ts";

/** Milliseconds: a length of time, or an instant since 1970 in UTC. */
export type Millis = number;

/** Where "now" comes from. The only clock of pure code. */
export interface Clock {
  now(): Millis;
}

export const SECOND: Millis = 1000;
export const MINUTE: Millis = 60 * SECOND;
export const HOUR: Millis = 60 * MINUTE;
export const DAY: Millis = 24 * HOUR;

/** A TTL lies between these (L5). */
export const MIN_TTL: Millis = SECOND;
export const MAX_TTL: Millis = 7 * DAY;
export const DEFAULT_TTL: Millis = 15 * MINUTE;

/** How a duration is written: `90s`, `15m`, `1h30m`, `2d`; a bare number is seconds. */
export const DURATION_PATTERN = "^(\\d+|(?=\\d)(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?)$";
const DURATION = /^(?:(\d+)|(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)$/;

/** Reads a duration such as `1h30m` as milliseconds; `undefined` when it is not one. */
export function readDuration(text: string): Millis | undefined {
  const match = DURATION.exec(text.trim());
  if (match === null) return undefined;
  const [, bare, days, hours, minutes, seconds] = match;
  if (bare !== undefined) return Number(bare) * SECOND;
  return (
    Number(days ?? 0) * DAY + Number(hours ?? 0) * HOUR + Number(minutes ?? 0) * MINUTE + Number(seconds ?? 0) * SECOND
  );
}

/**
 * Reads the TTL of a lease.
 * @throws LodestarError `INVALID_TTL` when it is not a duration or not from 1 s to 7 days.
 */
export function parseTtl(text: string): Millis {
  const ttl = readDuration(text);
  if (ttl === undefined)
    throw new LodestarError("INVALID_TTL", `"${text}" is not a duration.`, { details: { ttl: text } });
  if (ttl < MIN_TTL || ttl > MAX_TTL) {
    throw new LodestarError("INVALID_TTL", `A lease lasts from 1s to 7d, not ${text}.`, { details: { ttl: text } });
  }
  return ttl;
}

/** Writes a length of time for people, rounded down to seconds: `1h30m`, `14m45s`, `0s`. */
export function formatDuration(millis: Millis): string {
  let seconds = Math.max(0, Math.floor(millis / SECOND));
  const parts: string[] = [];
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 3).join("") || "0s";
}

/** How long it is until an instant, in whole seconds; none once it is past. */
export const secondsUntil = (at: Millis, now: Millis): number => Math.max(0, Math.round((at - now) / SECOND));

/** An instant as ISO 8601 in UTC with milliseconds, as every answer and the spec write it. */
export function formatInstant(at: Millis): string {
  return new Date(at).toISOString();
}

/** Reads an ISO 8601 instant (also `2026-01-04 09:19:43+00:00`); `undefined` when it is not one. A missing zone means UTC. */
export function readInstant(text: string): Millis | undefined {
  // As we write it ourselves: no call should need the pattern for that.
  if (text.length === 24 && text[4] === "-" && text[10] === "T" && text[23] === "Z") {
    const at = Date.parse(text);
    if (!Number.isNaN(at)) return at;
  }
  const match = /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*([Zz]|[+-]\d{2}:?\d{2})?)?$/.exec(
    text.trim(),
  );
  if (match === null) return undefined;
  const [, date, time = "00:00:00", zone = "Z"] = match;
  const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.toUpperCase();
  const at = Date.parse(`${date}T${time.replace(/(\.\d{3})\d+/, "$1")}${offset}`);
  return Number.isNaN(at) ? undefined : at;
}
