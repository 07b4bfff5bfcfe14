import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { parse, stringify } from "yaml";
import { ManualClock, type SeededRandom } from "../support/clock.ts";
import { join, type RawSpec, type RawTask, readTasks, type SpecTask, STATUS_OF } from "./lattice.ts";

export const START = Date.UTC(2026, 0, 1);
export const BRANCHES = ["main", "feat", "fix"] as const;

export interface Worktree {
  readonly name: string;
  readonly root: string;
  readonly spec: string;
  readonly head: string;
  branch: string;
  gone: boolean;
  /** The file's text as its last writer left it. */
  text: string;
}

/** A repository in a temp folder: worktrees as Git lays them out, branches that it switches and merges, a clock. */
export class World {
  readonly clock = new ManualClock(START);
  readonly base: string;
  readonly worktrees: Worktree[] = [];
  /** What each branch holds that is not checked out. */
  readonly branches = new Map<string, string>();
  readonly #random: SeededRandom;
  readonly #log: (line: string) => void;
  #serial = 0;

  constructor(base: string, random: SeededRandom, worktrees: number, log: (line: string) => void, spec?: string) {
    this.base = base;
    this.#random = random;
    this.#log = log;
    rmSync(base, { recursive: true, force: true });
    const first = spec ?? this.#firstSpec();
    const git = path(base, "main", ".git");
    mkdirSync(path(git, "objects"), { recursive: true });
    mkdirSync(path(git, "refs", "heads"), { recursive: true });
    for (const branch of BRANCHES) this.branches.set(branch, first);
    for (let i = 0; i < worktrees; i += 1) {
      const name = i === 0 ? "main" : `w${i}`;
      const root = path(base, name);
      const head = i === 0 ? path(git, "HEAD") : path(git, "worktrees", name, "HEAD");
      const branch = BRANCHES[i] ?? "main";
      const spec = path(root, ".lodestar", "spec.yaml");
      const worktree = { name, root, spec, head, branch, gone: false, text: first };
      this.worktrees.push(worktree);
      this.#makeWorktree(worktree);
    }
  }

  get runtime(): string {
    return path(this.base, "main", ".lodestar", "runtime.sqlite");
  }

  at(root: string): Worktree {
    const found = this.worktrees.find((worktree) => worktree.root === root);
    if (found === undefined) throw new Error(`There is no worktree ${root}.`);
    return found;
  }

  #makeWorktree(worktree: Worktree): void {
    mkdirSync(path(worktree.root, ".lodestar"), { recursive: true });
    if (worktree.name !== "main") {
      const folder = path(worktree.head, "..");
      mkdirSync(folder, { recursive: true });
      writeFileSync(path(folder, "commondir"), "../..\n");
      writeFileSync(path(worktree.root, ".git"), `gitdir: ${folder}\n`);
    }
    worktree.gone = false;
    writeFileSync(worktree.head, `ref: refs/heads/${worktree.branch}\n`);
    this.#replace(worktree, this.branches.get(worktree.branch) ?? "");
  }

  #firstSpec(): string {
    const tasks: Record<string, RawTask> = {};
    // In a small project agents meet more often; where all is done, reviewers do.
    const ids = ["A", "B", "C", "D", "E"].slice(0, this.#random.pick([1, 2, 3, 5, 5]));
    const dense = this.#random.below(4) === 0;
    ids.forEach((id, i) => {
      const depends_on = ids.slice(0, i).filter(() => dense || this.#random.below(5) < 2);
      const status = dense && i < ids.length - 1 ? "done" : "ready";
      tasks[id] = rawTask(id, START - 60_000, { status, depends_on, priority: this.#random.below(3) });
    });
    const conventions = { lease_ttl: "5s", verify: this.#random.below(6) === 0 ? "other" : "any" };
    return stringify({ project: { name: "sim", conventions }, tasks });
  }

  /** As Git does: another file in its place. */
  #replace(worktree: Worktree, text: string): void {
    const temp = `${worktree.spec}.git`;
    writeFileSync(temp, text);
    this.#stamp(temp);
    renameSync(temp, worktree.spec);
    worktree.text = text;
  }

  #stamp(file: string): void {
    const at = (this.clock.now() + this.#random.below(5000) / 5000) / 1000;
    utimesSync(file, at, at);
  }

  /** True when the file is what its last known writer left. */
  isKnown(worktree: Worktree): boolean {
    return readFileSync(worktree.spec, "utf8") === worktree.text;
  }

  /** @param made the text of a branch that does not exist yet. */
  checkOut(worktree: Worktree, branch: string, made = ""): void {
    if (this.worktrees.some((other) => !other.gone && other.branch === branch)) return;
    this.#log(`git checkout ${branch} in ${worktree.name}`);
    this.branches.set(worktree.branch, worktree.text);
    worktree.branch = branch;
    writeFileSync(worktree.head, `ref: refs/heads/${branch}\n`);
    this.#replace(worktree, this.branches.get(branch) ?? made);
  }

  contentOf(branch: string): string {
    return (
      this.worktrees.find((worktree) => !worktree.gone && worktree.branch === branch)?.text ??
      this.branches.get(branch) ??
      ""
    );
  }

  /** Merges another branch as the merge driver promises to (S4), task by task. */
  merge(worktree: Worktree, branch: string): void {
    if (branch === worktree.branch) return;
    this.#log(`git merge ${branch} in ${worktree.name}`);
    const ours = parse(worktree.text) as RawSpec;
    const theirs = parse(this.contentOf(branch)) as RawSpec;
    const [mine, other] = [readTasks(worktree.text), readTasks(this.contentOf(branch))];
    for (const [id, raw] of Object.entries(theirs.tasks)) {
      const [a, b] = [mine.get(id), other.get(id)];
      if (a === undefined || b === undefined) ours.tasks[id] = raw;
      else if (a.key === b.key) ours.tasks[id] = mergeTask(ours.tasks[id], raw, a, b);
    }
    this.#replace(worktree, stringify(ours));
  }

  /** What a person does in an editor, or what arrives by `git pull` from another clone. */
  edit(worktree: Worktree): void {
    const spec = parse(worktree.text) as RawSpec;
    const ids = Object.keys(spec.tasks);
    const id = this.#random.pick(ids);
    const raw = spec.tasks[id];
    const { outcome } = readTasks(worktree.text).get(id) as SpecTask;
    const kind = this.#random.below(7);
    const what = ["dependency", "priority", "word", "backwards", "pulled", "added", "dependency"][kind];
    if (kind === 0 || kind === 6) {
      const need = this.#random.pick(ids);
      if (need < id) raw.depends_on = [...new Set([...(raw.depends_on ?? []), need])];
    } else if (kind === 1) raw.priority = this.#random.below(5);
    else if (kind === 2 && outcome.rank === 0) raw.status = this.#random.pick(["todo", "blocked", "ready", "ready"]);
    else if (kind === 3) raw.status = "ready";
    else if (kind === 4) {
      // Another clone's work: its reopenings have ids that this one never made.
      this.#serial += 1;
      if (this.#random.below(2) === 0) raw.reopens = [...(raw.reopens ?? []), `x${this.#serial}`];
      raw.status = this.#random.pick(["ready", "done", "verified", "deleted"]);
      if (raw.status === "deleted") raw.verified_at = new Date(this.clock.now()).toISOString();
    } else if (kind === 5) {
      // The same id may be another branch's task: its time of creation tells them apart.
      const added = this.#random.pick(["F", "G", "H"]);
      if (spec.tasks[added] === undefined) spec.tasks[added] = rawTask(added, this.clock.now(), { depends_on: [] });
    }
    this.#log(`edit of ${id} in ${worktree.name}: ${what}`);
    const text = stringify(spec);
    if (this.#random.below(2) === 0) {
      this.#replace(worktree, text);
      return;
    }
    writeFileSync(worktree.spec, text);
    this.#stamp(worktree.spec);
    worktree.text = text;
  }

  deleteRuntime(): void {
    this.#log("the runtime is deleted");
    for (const part of ["-wal", "-shm", ""]) rmSync(this.runtime + part, { force: true });
  }

  deleteIndex(worktree: Worktree): void {
    this.#log(`the index of ${worktree.name} is deleted`);
    for (const part of ["-wal", "-shm", ""])
      rmSync(path(worktree.root, ".lodestar", `index.sqlite${part}`), { force: true });
  }

  removeWorktree(worktree: Worktree): void {
    this.#log(`worktree ${worktree.name} is removed`);
    this.branches.set(worktree.branch, worktree.text);
    rmSync(worktree.root, { recursive: true });
    rmSync(path(worktree.head, ".."), { recursive: true });
    worktree.gone = true;
  }

  /** At the same path, on whatever branch is free (counterexample 12). */
  makeAgain(worktree: Worktree): void {
    const free = BRANCHES.filter((branch) => this.worktrees.every((other) => other.gone || other.branch !== branch));
    worktree.branch = this.#random.pick(free);
    this.#log(`worktree ${worktree.name} is made again on ${worktree.branch}`);
    this.#makeWorktree(worktree);
  }

  /** A temp file that a killed writer leaves. */
  leaveTemp(worktree: Worktree): void {
    this.#serial += 1;
    writeFileSync(path(worktree.root, ".lodestar", `.spec.yaml.dead${this.#serial}.tmp`), "half");
  }

  remove(): void {
    if (existsSync(this.base)) rmSync(this.base, { recursive: true });
  }
}

function rawTask(id: string, at: number, more: Partial<RawTask>): RawTask {
  const instant = new Date(at).toISOString();
  return { title: `Task ${id}`, status: "ready", priority: 100, created_at: instant, updated_at: instant, ...more };
}

const RECORDS = ["completed_at", "completed_by", "completed_in", "verified_at", "verified_by"] as const;

function mergeTask(ours: RawTask, theirs: RawTask, a: SpecTask, b: SpecTask): RawTask {
  const outcome = join(a.outcome, b.outcome);
  const { reopens: _, ...task } = ours;
  if (outcome.reopens.length > 0) task.reopens = outcome.reopens;
  task.depends_on = [...new Set([...(ours.depends_on ?? []), ...(theirs.depends_on ?? [])])].sort();
  for (const name of RECORDS) {
    const told = outcome.rank === 0 ? undefined : (ours[name] ?? theirs[name]);
    if (told === undefined) delete task[name];
    else task[name] = told;
  }
  if (outcome.rank === 3 && !outcome.verified) delete task.verified_at;
  task.status = STATUS_OF[outcome.rank] || ([a.word, b.word].find((word) => word !== "ready") ?? "ready");
  if (outcome.rank === 0 && (a.word === "blocked" || b.word === "blocked")) task.status = "blocked";
  return task;
}
