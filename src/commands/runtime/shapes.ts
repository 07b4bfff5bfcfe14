import { LodestarError } from "../../core/errors.ts";
import { OneOf, Text } from "../../core/schema.ts";
import { hasCommit, originOf } from "../../git/home.ts";
import type { RuntimeChoice, RuntimeHome, RuntimeTarget } from "../../runtime/store.ts";
import type { Context } from "../context.ts";

export const Store = OneOf(["sqlite", "postgres"], { description: "What keeps the runtime" });
export const Where = Text({ description: "A path, or a URL without its password" });

/** What counts here, where it may be used. @throws LodestarError why it may not. */
export function usable({ target, problem }: RuntimeChoice): RuntimeTarget {
  if (problem !== undefined) throw problem;
  if (target === undefined) throw new LodestarError("INTERNAL", "A runtime was chosen without a place.");
  return target;
}

/**
 * Whether a shared runtime was made for another repository than this one, as a sentence: who copied a spec, or forked, has its
 * `project_id` too, and would work among strangers.
 */
export function foreignTo({ place }: Context, home: RuntimeHome | undefined): string | undefined {
  if (home === undefined) return undefined;
  const { root_commit, origin } = home;
  if (root_commit !== undefined && hasCommit(place, root_commit) === false)
    return `It was made for another repository${origin === undefined ? "" : ` (${origin})`}: its first commit ${root_commit.slice(0, 12)} is not in this one`;
  const here = originOf(place).origin;
  if (origin !== undefined && here !== undefined && here !== origin)
    return `It was made for ${origin}, and this is a clone of ${here}: their agents work as one team`;
  return undefined;
}

/** What a fork or a copy does that is to have a runtime of its own. */
export const OWN_ID =
  "If that is not meant: `lodestar runtime migrate --new-id` gives this repository an id of its own";
