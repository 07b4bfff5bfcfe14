/** The planes as the checker understands them: written from model.md, sharing no code with the product. */

/** An outcome (model.md, Status). */
export interface Outcome {
  readonly reopens: readonly string[];
  readonly rank: number;
  readonly verified: boolean;
}

/** A task of a spec, as far as promises speak of it. */
export interface SpecTask {
  readonly id: string;
  /** `id` and the instant of `created_at`: what an outcome belongs to. */
  readonly key: string;
  readonly word: string;
  readonly outcome: Outcome;
  readonly depends_on: readonly string[];
  readonly priority: number;
  /** Everything that the file says of it, to compare with. */
  readonly body: string;
}
export type SpecTasks = ReadonlyMap<string, SpecTask>;

export const NONE: Outcome = { reopens: [], rank: 0, verified: false };
const RANKS: Readonly<Record<string, number>> = { done: 1, verified: 2, deleted: 3 };
export const STATUS_OF = ["", "done", "verified", "deleted"] as const;

const text = (set: readonly string[]): string => [...set].sort().join(",");
export const same = (a: Outcome, b: Outcome): boolean =>
  a.rank === b.rank && a.verified === b.verified && text(a.reopens) === text(b.reopens);
export const sameRound = (a: readonly string[], b: readonly string[]): boolean => text(a) === text(b);

/** The join of model.md, by its three sentences. */
export function join(a: Outcome, b: Outcome): Outcome {
  const inA = b.reopens.every((id) => a.reopens.includes(id));
  const inB = a.reopens.every((id) => b.reopens.includes(id));
  if (inA && inB) {
    const rank = Math.max(a.rank, b.rank);
    return { reopens: a.reopens, rank, verified: rank > 1 && (a.verified || b.verified) };
  }
  if (inA) return a;
  if (inB) return b;
  return { reopens: [...new Set([...a.reopens, ...b.reopens])].sort(), rank: 0, verified: false };
}

/** True when `a` holds all that `b` says. */
export const holds = (a: Outcome, b: Outcome): boolean => same(join(a, b), a);

export const satisfied = (outcome: Outcome): boolean => outcome.rank >= 2 && outcome.verified;

export const keyText = (id: string, created_at: string | undefined): string => {
  const at = Date.parse(created_at ?? "");
  return `${id} ${Number.isNaN(at) ? "" : at}`;
};

// biome-ignore lint/suspicious/noExplicitAny: whatever YAML holds.
export type RawTask = any;
export interface RawSpec {
  project: unknown;
  tasks: Record<string, RawTask>;
}

/** What the file says, read afresh: callers may change it. */
export const readRaw = (spec: string): RawSpec => Bun.YAML.parse(spec) as RawSpec;

const parsed = new Map<string, SpecTasks>();

/** Reads a spec with the YAML library alone. */
export function readTasks(spec: string): SpecTasks {
  const known = parsed.get(spec);
  if (known !== undefined) return known;
  if (parsed.size > 500) parsed.clear();
  const raw = readRaw(spec);
  const tasks = new Map(Object.entries(raw?.tasks ?? {}).map(([id, task]) => [id, readTask(id, task)] as const));
  parsed.set(spec, tasks);
  return tasks;
}

function readTask(id: string, raw: RawTask): SpecTask {
  const status: string = raw.status;
  const rank = RANKS[status] ?? 0;
  const outcome = {
    reopens: [...(raw.reopens ?? [])].map(String).sort(),
    rank,
    verified: rank === 2 || (rank === 3 && raw.verified_at !== undefined),
  };
  return {
    id,
    key: keyText(id, raw.created_at),
    word: status === "todo" || status === "blocked" ? status : "ready",
    outcome,
    depends_on: raw.depends_on ?? [],
    priority: raw.priority ?? 100,
    body: JSON.stringify(raw),
  };
}

export type Known = ReadonlyMap<string, Outcome>;

/** T1: what counts of a task. */
export function effective(task: SpecTask, known: Known): Outcome {
  const told = known.get(task.key);
  return told === undefined ? task.outcome : join(task.outcome, told);
}

export function statusOf(task: SpecTask, known: Known): string {
  const { rank } = effective(task, known);
  return STATUS_OF[rank] || task.word;
}

/** T3, leases aside. */
export function isClaimable(tasks: SpecTasks, known: Known, id: string): boolean {
  const task = tasks.get(id);
  if (task === undefined || statusOf(task, known) !== "ready" || isOnCycle(tasks, id)) return false;
  return task.depends_on.every((need) => {
    const dependency = tasks.get(need);
    return dependency !== undefined && satisfied(effective(dependency, known));
  });
}

export const claimableIds = (tasks: SpecTasks, known: Known): string[] =>
  [...tasks.keys()].filter((id) => isClaimable(tasks, known, id)).sort();

function isOnCycle(tasks: SpecTasks, id: string): boolean {
  const seen = new Set<string>();
  const queue = [...(tasks.get(id)?.depends_on ?? [])];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next === id) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    queue.push(...(tasks.get(next)?.depends_on ?? []));
  }
  return false;
}
