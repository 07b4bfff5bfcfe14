import type { LeaseKind } from "../../lease/lease.ts";
import type { Among } from "../../spec/schedule.ts";
import type { Look } from "../look.ts";

/** What may be offered to this agent, in order. Under `locks: enforce` nothing that overlaps another's lease. */
export function offersFor(
  seen: Look,
  taking: { readonly agent_id?: string; readonly kind: LeaseKind },
  among: Among,
  limit: number,
) {
  const { conventions } = seen.header.project;
  const offers = seen.schedule.offers(
    {
      what: taking.kind,
      released: seen.seen?.released ?? [],
      leases: seen.seen?.leases ?? [],
      among,
      ...(taking.agent_id === undefined ? {} : { agent_id: taking.agent_id }),
      ...(taking.kind === "review" && conventions.verify === "other" && taking.agent_id !== undefined
        ? { not_completed_by: taking.agent_id }
        : {}),
    },
    limit,
  );
  return conventions.locks === "enforce" ? offers.filter((offer) => offer.conflict === undefined) : offers;
}
