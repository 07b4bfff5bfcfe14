import { globsOverlap } from "../core/globs.ts";
import {
  isSatisfied,
  joinOutcomes,
  NO_OUTCOME,
  type Outcome,
  STATUSES,
  type Status,
  sameOutcome,
  statusOf,
  wordOf,
} from "../core/status.ts";
import { type KnownOutcome, keyOf, keyText, type Task, type TaskKey } from "../core/task.ts";
import type { IndexedTask, SpecIndex, TaskFilter } from "./index.ts";

/** A task as it stands: the checked-out spec joined with the runtime's outcomes (T1). */
export interface Standing<O extends KnownOutcome> {
  readonly task: Task;
  readonly unblocks: number;
  readonly in_cycle: boolean;
  /** What the spec alone says, and what counts. */
  readonly stated: Outcome;
  readonly outcome: Outcome;
  readonly status: Status;
  /** The runtime's, when it has one for this very task. */
  readonly known?: O;
}

/** Why a task is not claimable. */
export type Obstacle =
  | { readonly kind: "status"; readonly status: Status }
  | { readonly kind: "dependencies"; readonly blocked_by: readonly string[] }
  | { readonly kind: "cycle" };

/** A live lease, as far as the order of tasks depends on it. */
export interface LiveLease extends TaskKey {
  readonly agent_id: string;
  readonly locks: readonly string[];
}

/** Which of the tasks. */
export type Among = Pick<TaskFilter, "label" | "id_prefix">;

export interface Wish {
  readonly what: "work" | "review";
  readonly among: Among;
  /** Who asks: its own leases are no lock conflict, tasks that it gave back come last. */
  readonly agent_id?: string;
  readonly released: readonly TaskKey[];
  readonly leases: readonly LiveLease[];
  /** Under `verify: other` work of this agent's own is not offered for its review. */
  readonly not_completed_by?: string;
}

/** A task that may be taken, in the order of T4. */
export interface Offer<O extends KnownOutcome> extends Standing<O> {
  readonly conflict?: { readonly task_id: string; readonly agent_id: string };
}

/** Rows read from the index at once: first about as many as are wanted, since each is parsed; then more. */
const PAGE = 64;

/**
 * What can be worked on, decided from the index and the runtime's outcomes; writes nothing. Only the tasks whose outcomes differ
 * between the planes, and their dependents, are looked at one by one: the rest the index already knows.
 */
export class Schedule<O extends KnownOutcome> {
  readonly #index: SpecIndex;
  readonly #known = new Map<string, O>();
  /** Tasks whose standing the index alone cannot tell. */
  readonly #unsettled = new Set<string>();

  /** @param outcomes the runtime's outcomes that the spec may lack; of several for one task the newest counts. */
  constructor(index: SpecIndex, outcomes: Iterable<O>) {
    this.#index = index;
    for (const outcome of outcomes) {
      const before = this.#known.get(keyText(outcome));
      if (before === undefined || before.version <= outcome.version) this.#known.set(keyText(outcome), outcome);
    }
    for (const outcome of this.#known.values()) {
      const row = index.task(outcome.task_id);
      if (row === undefined || keyOf(row.task).created_at !== outcome.created_at) continue;
      if (sameOutcome(joinOutcomes(row.outcome, outcome), row.outcome)) continue;
      this.#unsettled.add(outcome.task_id);
      for (const dependent of index.dependents(outcome.task_id)) this.#unsettled.add(dependent);
    }
  }

  /** @returns `undefined` for a task that the spec does not have. */
  standing(id: string): Standing<O> | undefined {
    const row = this.#index.task(id);
    return row === undefined ? undefined : this.#stand(row);
  }

  #stand({ task, outcome: stated, unblocks, in_cycle }: IndexedTask): Standing<O> {
    const known = this.#known.get(keyText(keyOf(task)));
    const outcome = known === undefined ? stated : joinOutcomes(stated, known);
    const standing = { task, unblocks, in_cycle, stated, outcome, status: statusOf(outcome, wordOf(task.status)) };
    return known === undefined ? standing : { ...standing, known };
  }

  /** Tasks whose effective status differs from what the file says, with the runtime's outcome that says otherwise. */
  *differing(): Generator<Standing<O>> {
    for (const id of this.#unsettled) {
      const standing = this.standing(id);
      if (standing !== undefined && !sameOutcome(standing.outcome, standing.stated)) yield standing;
    }
  }

  /** Dependencies that still block: not verified, missing, or deleted without having been verified (T3). */
  blockedBy(task: Task): string[] {
    return task.depends_on.filter((id) => !isSatisfied(this.standing(id)?.outcome ?? NO_OUTCOME));
  }

  /** Why the task cannot be claimed; `undefined` when it can, as far as the two planes' outcomes go (leases aside). */
  obstacle(standing: Standing<O>): Obstacle | undefined {
    if (standing.status !== "ready") return { kind: "status", status: standing.status };
    if (standing.in_cycle) return { kind: "cycle" };
    const blocked_by = this.blockedBy(standing.task);
    return blocked_by.length > 0 ? { kind: "dependencies", blocked_by } : undefined;
  }

  /** The keys whose outcomes a claim of this task rests on (L9). */
  basis(task: Task): TaskKey[] {
    const keys = [keyOf(task)];
    for (const id of task.depends_on) {
      const key = this.#index.key(id);
      if (key !== undefined) keys.push(key);
    }
    return keys;
  }

  /** Dependencies that count as verified although this worktree's spec does not hold it (T5). */
  notHereYet(task: Task): Standing<O>[] {
    return task.depends_on.flatMap((id) => {
      const standing = this.standing(id);
      return standing !== undefined && isSatisfied(standing.outcome) && !isSatisfied(standing.stated) ? [standing] : [];
    });
  }

  /**
   * Tasks that may be taken, in the order of T4: priority, then how many tasks wait for it, then id; those that the agent gave back after
   * these; those whose locks overlap another agent's live lease last. Stops as early as `limit` allows.
   */
  offers(wish: Wish, limit: number): Offer<O>[] {
    const taken = new Set(wish.leases.map(keyText));
    const givenBack = new Set(wish.released.map(keyText));
    const others = wish.leases.filter((lease) => lease.agent_id !== wish.agent_id && lease.locks.length > 0);
    const twice = new Set(this.#index.header()?.broken.map(({ task_id }) => task_id));
    const classes: [Offer<O>[], Offer<O>[], Offer<O>[]] = [[], [], []];
    for (const standing of this.#inOrder(wish, Math.min(PAGE, limit + taken.size))) {
      // Merging left it twice: which of the two is meant, a person must say (S4).
      if (twice.has(standing.task.id)) continue;
      const key = keyText(keyOf(standing.task));
      if (taken.has(key) || (wish.not_completed_by !== undefined && completedBy(standing) === wish.not_completed_by))
        continue;
      const conflict = findConflict(standing.task, others);
      if (conflict !== undefined) classes[2].push({ ...standing, conflict });
      else classes[givenBack.has(key) ? 1 : 0].push(standing);
      if (classes[0].length >= limit) break;
    }
    return classes.flat().slice(0, limit);
  }

  /** Claimable (or reviewable) tasks of both planes, merged in order. */
  *#inOrder({ what, among }: Wish, firstPage: number): Generator<Standing<O>> {
    const { label, id_prefix = "" } = among;
    const extra = [...this.#unsettled]
      .filter((id) => id.startsWith(id_prefix))
      .flatMap((id) => this.standing(id) ?? [])
      .filter((standing) => (label === undefined || standing.task.labels.includes(label)) && this.#fits(standing, what))
      .sort(byOrder);
    let at = 0;
    let limit = firstPage;
    for (let offset = 0; ; offset += limit, limit = PAGE) {
      const filter = { ...among, limit, offset };
      const page = what === "work" ? this.#index.claimable(filter) : this.#index.done(filter);
      for (const row of page) {
        if (this.#unsettled.has(row.task.id)) continue;
        const standing = this.#stand(row);
        for (let next = extra[at]; next !== undefined && byOrder(next, standing) < 0; next = extra[at]) {
          yield next;
          at += 1;
        }
        yield standing;
      }
      if (page.length < limit) break;
    }
    yield* extra.slice(at);
  }

  #fits(standing: Standing<O>, what: "work" | "review"): boolean {
    return what === "work" ? this.obstacle(standing) === undefined : standing.status === "done";
  }

  /** How many tasks are claimable, live leases aside, and how many there are of each status. */
  counts(): { readonly claimable: number; readonly by_status: Readonly<Record<Status, number>> } {
    const header = this.#index.header();
    const by_status = { ...(header?.by_status ?? emptyCounts()) };
    let claimable = header?.claimable ?? 0;
    for (const id of this.#unsettled) {
      const row = this.#index.task(id);
      if (row === undefined) continue;
      const standing = this.#stand(row);
      by_status[row.task.status] -= 1;
      by_status[standing.status] += 1;
      claimable += (this.obstacle(standing) === undefined ? 1 : 0) - (row.claimable ? 1 : 0);
    }
    return { claimable, by_status };
  }

  /** How many of these leased tasks would be claimable without their leases. */
  claimableAmong(leases: readonly TaskKey[]): number {
    return leases.filter(({ task_id, created_at }) => {
      const standing = this.standing(task_id);
      return (
        standing !== undefined &&
        keyOf(standing.task).created_at === created_at &&
        this.obstacle(standing) === undefined
      );
    }).length;
  }

  /**
   * Which tasks a set of new outcomes makes claimable: those that are not now and are then (T3), by id, with the keys that the answer
   * rests on.
   */
  unblockedBy(after: ReadonlyMap<string, Outcome>): {
    readonly unblocked: readonly string[];
    readonly basis: readonly TaskKey[];
  } {
    const dependents = new Set([...after.keys()].flatMap((id) => this.#index.dependents(id)));
    const basis: TaskKey[] = [];
    const unblocked = [...dependents].sort().filter((id) => {
      const standing = this.standing(id);
      if (standing === undefined || standing.in_cycle) return false;
      basis.push(...this.basis(standing.task));
      const own = after.get(id) ?? standing.outcome;
      const isReady = statusOf(own, wordOf(standing.task.status)) === "ready";
      const met = (need: string, outcomes: ReadonlyMap<string, Outcome>) =>
        isSatisfied(outcomes.get(need) ?? this.standing(need)?.outcome ?? NO_OUTCOME);
      const now = this.obstacle(standing) === undefined;
      return isReady && !now && standing.task.depends_on.every((need) => met(need, after));
    });
    return { unblocked, basis };
  }
}

function completedBy<O extends KnownOutcome>(standing: Standing<O>): string | undefined {
  const known = standing.known as { completed_by?: string } | undefined;
  return known?.completed_by ?? standing.task.completed_by;
}

function byOrder(a: Standing<KnownOutcome>, b: Standing<KnownOutcome>): number {
  if (a.task.priority !== b.task.priority) return a.task.priority - b.task.priority;
  if (a.unblocks !== b.unblocks) return b.unblocks - a.unblocks;
  return a.task.id < b.task.id ? -1 : a.task.id > b.task.id ? 1 : 0;
}

function findConflict(task: Task, leases: readonly LiveLease[]): { task_id: string; agent_id: string } | undefined {
  if (task.locks.length === 0) return undefined;
  const held = leases.find(
    (lease) =>
      lease.task_id !== task.id && lease.locks.some((theirs) => task.locks.some((ours) => globsOverlap(ours, theirs))),
  );
  return held === undefined ? undefined : { task_id: held.task_id, agent_id: held.agent_id };
}

function emptyCounts(): Record<Status, number> {
  return Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
}
