import type { Lease } from "../../lease/lease.ts";
import { LockTable } from "../../lease/locks.ts";
import type { Candidate } from "../store.ts";

/** Which path locks overlap, worked out for a claim by the rule that every store shares. */
export interface Overlaps {
  /** Tokens of the leases that were looked at; the server asks again when it has others. */
  readonly judged: readonly number[];
  readonly judged_candidates: number;
  readonly has_locks: boolean;
  /** `mine`: `c` and a candidate's place in the list, or `t` and the token of a lease of this agent's. */
  readonly overlaps: readonly {
    readonly mine: string;
    readonly token: number;
    readonly pattern: string;
    readonly other_pattern: string;
  }[];
}

/** So many candidates are compared beforehand: hardly a claim looks at more before it finds one. */
const BEFOREHAND = 50;

/** @param leases live ones, as last seen. @param all compare every candidate, and not only the first. */
export function overlapsOf(
  candidates: readonly Candidate[],
  agent_id: string,
  leases: readonly Lease[],
  all: boolean,
): Overlaps {
  const locked = leases.filter(({ locks }) => locks.length > 0);
  const others = locked.filter((lease) => lease.agent_id !== agent_id);
  const table = new LockTable();
  const against = (mine: string, locks: readonly string[]) =>
    others.flatMap((lease) => {
      const overlap = table.between(locks, lease.locks);
      return overlap === undefined ? [] : [{ mine, token: lease.fencing_token, ...overlap }];
    });
  const looked = all ? candidates : candidates.slice(0, BEFOREHAND);
  const own = locked.filter((lease) => lease.agent_id === agent_id);
  const has_locks = candidates.some(({ locks }) => locks.length > 0);
  return {
    judged: locked.map(({ fencing_token }) => fencing_token),
    // Candidates without locks overlap nothing.
    judged_candidates: has_locks ? looked.length : candidates.length,
    has_locks,
    overlaps: [
      ...looked.flatMap(({ locks }, i) => (locks.length === 0 ? [] : against(`c${i}`, locks))),
      ...own.flatMap((lease) => against(`t${lease.fencing_token}`, lease.locks)),
    ],
  };
}
