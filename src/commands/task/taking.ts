import { LodestarError } from "../../core/errors.ts";
import { fault } from "../../core/fault.ts";
import { newLeaseId } from "../../core/ids.ts";
import { keyOf, type Task } from "../../core/task.ts";
import { formatInstant, SECOND } from "../../core/time.ts";
import type { LeaseKind } from "../../lease/lease.ts";
import type { Candidate, ClaimRequest, Grant, RecordedOutcome, Ticket } from "../../runtime/store.ts";
import type { Standing } from "../../spec/schedule.ts";
import type { Context } from "../context.ts";
import { isSameKey, type Look, look, requireTask } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { allOrNone, conflictError, conflictText, heldError, obstacleError, unknownAgent } from "../refused.ts";
import { bundle, type ContextBundle } from "./bundle.ts";
import { offersFor } from "./offers.ts";
import { messageData } from "./shapes.ts";

/** What the caller of a claim asks for. */
export interface Taking {
  readonly agent_id: string;
  readonly kind: LeaseKind;
  readonly ttl?: string;
  readonly force: boolean;
  readonly ticket?: Ticket;
}

/** A granted task with what the claim's answer is made from. */
export interface Taken {
  readonly grant: Grant;
  readonly task: Task | undefined;
}

/** How often a claim looks again because the planes changed between its look and its grant. Each round some other call got ahead. */
const ROUNDS = 200;
/** How many candidates `next --claim` hands to the store at a time. */
const HANDFUL = 64;
/** How many at first: most often the first is granted, and each candidate's dependencies are read. */
const FEW = 8;
/** Messages of the thread that a claim hands over, in characters. */
const HANDOFF_CHARS = 600;

function request(
  context: Context,
  seen: Look,
  taking: Taking,
  candidates: readonly Candidate[],
  more: Pick<ClaimRequest, "take" | "resume"> & Partial<Pick<ClaimRequest, "locks">>,
): ClaimRequest {
  const { conventions } = seen.header.project;
  const idempotency = taking.ticket === undefined ? context.idempotency("claim") : undefined;
  return {
    candidates,
    seen: seen.seen?.version ?? 0,
    kind: taking.kind,
    agent_id: taking.agent_id,
    session: context.session,
    ttl: context.ttl(taking.ttl, conventions.lease_ttl),
    locks: conventions.locks ?? "warn",
    force: taking.force,
    lease_ids: Array.from({ length: Math.max(1, candidates.length) }, () => newLeaseId(context.random)),
    handoff_chars: HANDOFF_CHARS,
    ...(taking.ticket === undefined ? {} : { ticket: taking.ticket }),
    ...(idempotency === undefined ? {} : { idempotency }),
    ...more,
  };
}

function candidate(seen: Look, standing: Standing<RecordedOutcome>): Candidate {
  const { task, outcome } = standing;
  return { key: keyOf(task), reopens: outcome.reopens, locks: task.locks, basis: seen.schedule.basis(task) };
}

/**
 * Claims these tasks, all or none.
 *
 * @returns `undefined` only with a ticket, when it is another waiter's turn.
 * @throws LodestarError what stands in the way; with several ids `details.failed` names each.
 */
export async function takeThese(
  context: Context,
  ids: readonly string[],
  taking: Taking,
): Promise<readonly Taken[] | undefined> {
  const runtime = await context.runtime();
  for (let round = 0; round < ROUNDS; round += 1) {
    const seen = await look(context, "write", taking.agent_id);
    const { standings, candidates, held } = await candidatesOf(context, seen, ids, taking);
    fault("before-grant");
    const result = await runtime.claim(request(context, seen, taking, candidates, { take: "all", resume: false }));
    switch (result.kind) {
      case "granted": {
        if (await isOvertaken(context, seen, result.grants, taking, held)) continue;
        giveBackIfUnwanted(context, result.grants);
        for (const standing of standings) warnOfAbsent(context, seen, standing);
        return result.grants.map((grant) => taken(context, seen, grant));
      }
      case "held":
        throw heldError(result.leases, taking.agent_id);
      case "conflict":
        throw conflictError(result.conflicts);
      case "queued":
        return undefined;
      case "stale":
      case "none":
        continue;
      default:
        throw refused(result.kind, taking.agent_id);
    }
  }
  throw new LodestarError("BUSY", "The tasks keep changing while they are claimed.");
}

function refused(kind: "unknown_agent" | "mismatch", agent_id: string): LodestarError {
  return kind === "unknown_agent"
    ? unknownAgent(agent_id)
    : new LodestarError("IDEMPOTENCY_MISMATCH", "This idempotency key belongs to another request.");
}

async function candidatesOf(context: Context, seen: Look, ids: readonly string[], taking: Taking) {
  const standings: Standing<RecordedOutcome>[] = [];
  const failures: { task_id: string; error: LodestarError }[] = [];
  for (const task_id of new Set(ids)) {
    try {
      const standing = await requireTask(context, seen, task_id);
      const error = isHeldHere(context, seen, standing, taking) ? undefined : obstacleTo(seen, standing, taking);
      if (error === undefined) standings.push(standing);
      else failures.push({ task_id, error });
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      failures.push({ task_id, error });
    }
  }
  allOrNone(failures, ids.length);
  const held = new Set(standings.filter((each) => isHeldHere(context, seen, each, taking)).map(({ task }) => task.id));
  const candidates = standings.map((standing) =>
    held.has(standing.task.id) ? { ...candidate(seen, standing), basis: [] } : candidate(seen, standing),
  );
  return { standings, candidates, held };
}

/** A claim of what this agent already holds in this session is a retry, whatever became of the task meanwhile (L4). */
function isHeldHere(context: Context, seen: Look, standing: Standing<RecordedOutcome>, taking: Taking): boolean {
  const key = keyOf(standing.task);
  return (seen.seen?.leases ?? []).some(
    (lease) =>
      isSameKey(lease, key) &&
      lease.agent_id === taking.agent_id &&
      lease.session === context.session &&
      lease.kind === taking.kind,
  );
}

function obstacleTo(seen: Look, standing: Standing<RecordedOutcome>, taking: Taking): LodestarError | undefined {
  const { task } = standing;
  if (taking.kind === "work") {
    const obstacle = seen.schedule.obstacle(standing);
    return obstacle === undefined ? undefined : obstacleError(task.id, obstacle);
  }
  if (standing.status !== "done") {
    return new LodestarError("NOT_DONE", `Task ${task.id} is ${standing.status}; there is nothing to review yet`, {
      details: { task_id: task.id, status: standing.status },
    });
  }
  const author = effectiveTask(task, standing.known).completed_by;
  if (seen.header.project.conventions.verify !== "other" || author !== taking.agent_id) return undefined;
  return new LodestarError("SELF_VERIFICATION", `${taking.agent_id} did the work of ${task.id} and may not review it`, {
    details: { task_id: task.id },
  });
}

/**
 * L9: after the grant the spec's key is compared once more. If somebody changed the spec meanwhile and the task is no longer claimable,
 * the lease is given back, and the caller looks again. So it is for a task that was asked for as one that the agent holds, and whose lease
 * ran out before the grant.
 *
 * @param held ids of tasks that nobody has asked whether they can be claimed.
 */
async function isOvertaken(
  context: Context,
  seen: Look,
  grants: readonly Grant[],
  taking: Taking,
  held: ReadonlySet<string> = new Set(),
): Promise<boolean> {
  const fresh = grants.filter((grant) => !grant.already);
  if (fresh.length === 0) return false;
  if (context.spec.key() === seen.header.key && !fresh.some(({ lease }) => held.has(lease.task_id))) return false;
  const now = await look(context, "write", taking.agent_id);
  const still = fresh.every(({ lease }) => {
    const standing = now.schedule.standing(lease.task_id);
    return (
      standing !== undefined &&
      isSameKey(keyOf(standing.task), lease) &&
      obstacleTo(now, standing, taking) === undefined
    );
  });
  if (still) return false;
  await giveBack(context, fresh);
  return true;
}

/** Who breaks off a call that has just been granted something never hears of it: nobody would work on the task. */
function giveBackIfUnwanted(context: Context, grants: readonly Grant[]): void {
  const fresh = grants.filter((grant) => !grant.already);
  if (fresh.length > 0) context.ifUnwanted(() => giveBack(context, fresh));
}

async function giveBack(context: Context, grants: readonly Grant[]): Promise<void> {
  const runtime = await context.runtime();
  for (const { lease } of grants) {
    const { task_id, created_at, agent_id, lease_id } = lease;
    await runtime.release({ key: { task_id, created_at }, agent_id, lease_id, force: false, how: "reverted" });
  }
}

/** T5: the work that this task builds on is not in this worktree. */
function warnOfAbsent(context: Context, seen: Look, standing: Standing<RecordedOutcome>): void {
  for (const absent of seen.schedule.notHereYet(standing.task)) {
    const branch = absent.known?.completed_in?.branch ?? absent.known?.branch;
    const where = branch === undefined || branch === "" ? "elsewhere" : `on ${branch}`;
    context.warn(
      `${standing.task.id} builds on ${absent.task.id}, which was verified ${where} and is not in this worktree yet${branch === undefined || branch === "" ? "" : `: merge ${branch}`}`,
    );
  }
}

function taken(context: Context, seen: Look, grant: Grant): Taken {
  for (const conflict of grant.conflicts) context.warn(conflictText(conflict));
  const standing = seen.schedule.standing(grant.lease.task_id);
  return { grant, task: standing === undefined ? undefined : effectiveTask(standing.task, standing.known) };
}

/**
 * Claims the first task that passes (L9), or returns the lease that this agent already holds in this session (L4).
 *
 * @returns `undefined` when nothing can be claimed now.
 */
export async function takeNext(
  context: Context,
  taking: Taking,
  wish: { readonly label?: string; readonly another: boolean },
): Promise<Taken | undefined> {
  const runtime = await context.runtime();
  for (let round = 0; round < ROUNDS; round += 1) {
    const seen = await look(context, "write", taking.agent_id);
    const most = round === 0 ? FEW : HANDFUL;
    const offers = offersFor(seen, taking, { label: wish.label }, most);
    // Of a few none is taken whose locks overlap by now: there may be more without, which come before it (T4).
    const locks = most === FEW && offers.length === FEW ? ({ locks: "enforce" } as const) : {};
    fault("before-grant");
    const result = await runtime.claim(
      request(
        context,
        seen,
        taking,
        offers.map((offer) => candidate(seen, offer)),
        { take: "first", resume: !wish.another, ...locks },
      ),
    );
    switch (result.kind) {
      case "granted": {
        if (await isOvertaken(context, seen, result.grants, taking)) continue;
        const [grant] = result.grants;
        if (grant === undefined) throw new LodestarError("INTERNAL", "A grant came without a lease.");
        giveBackIfUnwanted(context, result.grants);
        const standing = seen.schedule.standing(grant.lease.task_id);
        if (standing !== undefined) warnOfAbsent(context, seen, standing);
        return taken(context, seen, grant);
      }
      case "queued":
        return undefined;
      case "none":
        // Others were faster for all of these: what is left is looked at again.
        if (offers.length > 0 || result.stale) continue;
        return undefined;
      case "stale":
        continue;
      case "held":
      case "conflict":
        continue;
      default:
        throw refused(result.kind, taking.agent_id);
    }
  }
  throw new LodestarError("BUSY", "The tasks keep changing while one is claimed.");
}

export interface ClaimData extends Record<string, unknown> {
  lease_id: string;
  task_id: string;
  agent_id: string;
  fencing_token: number;
  expires_at: string;
  ttl_seconds: number;
  already?: boolean;
  context?: ContextBundle;
}

/** The answer for one granted lease. */
function claimData({ grant, task }: Taken, withContext: boolean): ClaimData {
  const { lease, already, handoff } = grant;
  return {
    lease_id: lease.lease_id,
    task_id: lease.task_id,
    agent_id: lease.agent_id,
    fencing_token: lease.fencing_token,
    expires_at: formatInstant(lease.expires_at),
    ttl_seconds: Math.round(lease.ttl / SECOND),
    ...(already ? { already } : {}),
    ...(withContext && task !== undefined ? { context: bundle(task) } : {}),
    ...(handoff === undefined || handoff.unread === 0
      ? {}
      : { handoff: { unread: handoff.unread, messages: handoff.messages.map(messageData) } }),
  };
}

/**
 * The answer for one granted lease, with what became of the product document that the task cites. For a task that cites none, nothing more
 * is loaded than for {@link claimData}.
 */
export async function claimAnswer(context: Context, granted: Taken, withContext: boolean): Promise<ClaimData> {
  const data = claimData(granted, withContext);
  const prd = granted.task?.prd;
  if (granted.task === undefined || prd === undefined) return data;
  const { withProduct } = await import("./product.ts");
  return withProduct(context, data, { ...granted.task, prd });
}

/** True for refusals that time may lift: worth waiting for. */
export function mayPass(error: LodestarError): boolean {
  if (!["ALREADY_CLAIMED", "LOCK_CONFLICT", "UNMET_DEPENDENCIES", "NOT_CLAIMABLE", "NOT_DONE"].includes(error.code))
    return false;
  return !["done", "verified", "deleted"].includes(String(error.details.status));
}
