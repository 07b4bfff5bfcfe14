/** Every campaign by name: a seed makes the same files, calls and checks each time, and a {@link Violation} or nothing. */
import { indexDamage, lockDamage, runtimeDamage } from "./databases.ts";
import { options } from "./options.ts";
import { places } from "./places.ts";
import { shell } from "./shell.ts";
import { specCalls, specText } from "./spec-text.ts";

export const CAMPAIGNS = {
  "spec-text": specText,
  "spec-calls": specCalls,
  options,
  "runtime-damage": runtimeDamage,
  "index-damage": indexDamage,
  "lock-damage": lockDamage,
  places,
  shell,
} as const satisfies Readonly<Record<string, (seed: number) => Promise<void>>>;

export type Campaign = keyof typeof CAMPAIGNS;
