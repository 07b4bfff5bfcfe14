import { LodestarError } from "./errors.ts";

/** Random bytes, given by argument so that tests can fix them. */
export interface Random {
  bytes(count: number): Uint8Array;
}

/** Crockford's base32 in lower case: no `i l o u`, so that an id reads back as it was written. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** A random string of `length` base32 digits (5 bits each). */
export function randomDigits(random: Random, length: number): string {
  let digits = "";
  for (const byte of random.bytes(length)) digits += ALPHABET[byte & 31];
  return digits;
}

export const newAgentId = (random: Random): string => `A${randomDigits(random, 8).toUpperCase()}`;
export const newLeaseId = (random: Random): string => `L${randomDigits(random, 12).toUpperCase()}`;
export const newMessageId = (random: Random): string => `M${randomDigits(random, 12).toUpperCase()}`;
/** Identifies one return of a task to work; four digits are enough within one task. */
export const newReopenId = (random: Random): string => randomDigits(random, 4);

/**
 * A task id that two branches will not both choose: `T-` and base32 digits, longer as the project grows so
 * that a collision between two independent choices stays below about one in a thousand at `taskCount` tasks.
 */
export function newTaskId(random: Random, taskCount: number): string {
  let length = 4;
  while (32 ** length < (taskCount + 1) * 1000) length += 1;
  return `T-${randomDigits(random, length)}`;
}

/** What a new task or agent id may look like; existing specs may hold others, which stay readable. */
export const NEW_ID_PATTERN = "^[\\p{L}\\p{N}][\\p{L}\\p{N}._-]{0,99}$";

/** False for an id that could be taken for an option, a path or markup. */
export function isNewId(id: string): boolean {
  // Compiled here: classes of Unicode are dear, and few calls make an id.
  return new RegExp(NEW_ID_PATTERN, "u").test(id) && !id.includes("..");
}

/**
 * Refuses an id that a new task or agent may not have.
 * @throws LodestarError `INVALID_ID`
 */
export function checkNewId(id: string, what: string): void {
  if (!isNewId(id)) {
    throw new LodestarError("INVALID_ID", `${JSON.stringify(id)} cannot be the id of ${what}.`, { details: { id } });
  }
}
