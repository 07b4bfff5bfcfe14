/** Every campaign by name: a seed makes the same files, calls and checks each time, and a {@link Violation} or nothing. */
import { indexDamage, lockDamage, runtimeDamage } from "./databases.ts";
import { agentHooks, gitHooks, merges } from "./git-texts.ts";
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
  "git-hooks": gitHooks,
  "agent-hooks": agentHooks,
  merges,
  shell,
} as const satisfies Readonly<Record<string, (seed: number) => Promise<void>>>;

export type Campaign = keyof typeof CAMPAIGNS;
