import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join as path } from "node:path";
import { mergeSpecs } from "../../src/spec/merge.ts";
import { ManualClock, type SeededRandom } from "../support/clock.ts";
import { type RawSpec, type RawTask, readRaw, readTasks, type SpecTask } from "./lattice.ts";

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

interface Commit {
  readonly text: string;
  readonly parents: readonly number[];
}

/** What came of a `git merge`, for the checker. */
export type Merged =
  | { readonly kind: "nothing" | "forward" | "aborted" }
  | {
      readonly kind: "merged";
      readonly base: string;
      readonly ours: string;
      readonly theirs: string;
      readonly text: string;
    };

export interface WorldOptions {
  /** What every branch begins with; chance makes one otherwise. */
  readonly spec?: string;
  /** Other clones count their reopenings, as this one does. */
  readonly counted?: boolean;
  /** What the spec's conventions say besides. */
  readonly conventions?: Readonly<Record<string, string>>;
}

const INSIDE = ".lodestar";

/** A repository in a temp folder: worktrees as Git lays them out, branches that it switches and merges, a clock. */
export class World {
  readonly clock = new ManualClock(START);
  readonly base: string;
  readonly worktrees: Worktree[] = [];
  /** Reopenings that other clones made, as `key id`: no two may share an id (counterexample 15). */
  readonly reopenedElsewhere = new Set<string>();
  /** True when other clones count reopenings instead of naming them, as a mutant of the product would. */
  readonly #counted: boolean;
  readonly #commits: Commit[] = [];
  readonly #heads = new Map<string, number>();
  readonly #random: SeededRandom;
  readonly #log: (line: string) => void;
  #serial = 0;

  constructor(
    base: string,
    random: SeededRandom,
    worktrees: number,
    log: (line: string) => void,
    { spec, counted = false, conventions = {} }: WorldOptions = {},
  ) {
    this.#counted = counted;
    this.base = base;
    this.#random = random;
    this.#log = log;
    rmSync(base, { recursive: true, force: true });
    const first = spec ?? this.#firstSpec(conventions);
    const git = path(base, "main", ".git");
    mkdirSync(path(git, "objects"), { recursive: true });
    mkdirSync(path(git, "refs", "heads"), { recursive: true });
    this.#commits.push({ text: first, parents: [] });
    for (const branch of BRANCHES) this.#heads.set(branch, 0);
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
    this.#replace(worktree, this.#textOf(worktree.branch));
  }

  #textOf(branch: string): string {
    return this.#commits[this.#heads.get(branch) ?? -1]?.text ?? "";
  }

  /** Commits what a branch holds, and what else it comes from. */
  #commit(branch: string, text: string, ...parents: readonly number[]): number {
    const head = this.#heads.get(branch);
    if (head !== undefined && parents.length === 0 && this.#commits[head]?.text === text) return head;
    this.#commits.push({ text, parents: [...(head === undefined ? [] : [head]), ...parents] });
    this.#heads.set(branch, this.#commits.length - 1);
    return this.#commits.length - 1;
  }

  #ancestors(commit: number): ReadonlySet<number> {
    const seen = new Set([commit]);
    for (const one of seen) for (const parent of this.#commits[one]?.parents ?? []) seen.add(parent);
    return seen;
  }

  /** The youngest common ancestor: later commits have larger numbers. */
  #mergeBase(a: number, b: number): number {
    const theirs = this.#ancestors(b);
    return Math.max(...[...this.#ancestors(a)].filter((one) => theirs.has(one)));
  }

  #firstSpec(more: Readonly<Record<string, string>>): string {
    const tasks: Record<string, RawTask> = {};
    // In a small project agents meet more often; where all is done, reviewers do.
    const ids = ["A", "B", "C", "D", "E"].slice(0, this.#random.pick([1, 2, 3, 5, 5]));
    const dense = this.#random.below(4) === 0;
    ids.forEach((id, i) => {
      const depends_on = ids.slice(0, i).filter(() => dense || this.#random.below(5) < 2);
      const status = dense && i < ids.length - 1 ? "done" : "ready";
      tasks[id] = rawTask(id, START - 60_000, { status, depends_on, priority: this.#random.below(3) });
    });
    const conventions = { lease_ttl: "5s", verify: this.#random.below(6) === 0 ? "other" : "any", ...more };
    return written({ project: { name: "sim", conventions }, tasks });
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
  checkOut(worktree: Worktree, branch: string, made = ""): boolean {
    if (this.worktrees.some((other) => !other.gone && other.branch === branch)) return false;
    this.#log(`git checkout ${branch} in ${worktree.name}`);
    this.#commit(worktree.branch, worktree.text);
    if (!this.#heads.has(branch)) this.#commit(branch, made);
    worktree.branch = branch;
    writeFileSync(worktree.head, `ref: refs/heads/${branch}\n`);
    this.#replace(worktree, this.#textOf(branch));
    return true;
  }

  #workElsewhere(worktree: Worktree, branch: string): void {
    for (let i = this.#random.below(3); i > 0; i -= 1)
      this.#commit(branch, this.#edited(this.#textOf(branch), branch).text);
    // On both sides somebody says another word of one task (counterexample 16).
    const [ours, theirs] = [readRaw(worktree.text), readRaw(this.#textOf(branch))];
    const id = this.#random.pick(Object.keys(theirs.tasks));
    const isOpen = (raw: RawTask | undefined): boolean => raw?.status === "ready" || raw?.status === "todo";
    if (this.#random.below(2) === 0 || !isOpen(ours.tasks[id]) || !isOpen(theirs.tasks[id])) return;
    const words = this.#random.pick([
      ["todo", "blocked"],
      ["blocked", "todo"],
    ]);
    [ours.tasks[id].status, theirs.tasks[id].status] = words;
    this.#log(`${id} becomes ${words[0]} in ${worktree.name}, ${words[1]} on ${branch}`);
    this.#replace(worktree, written(ours));
    this.#commit(branch, written(theirs));
  }

  contentOf(branch: string): string {
    return (
      this.worktrees.find((worktree) => !worktree.gone && worktree.branch === branch)?.text ?? this.#textOf(branch)
    );
  }

  /** `git merge` with Lodestar's merge driver; who meets a conflict takes our side, or gives up where that is none. */
  async merge(worktree: Worktree, branch: string): Promise<Merged> {
    if (branch === worktree.branch) return { kind: "nothing" };
    // Where nobody of this repository works on it, colleagues do.
    if (!this.worktrees.some((one) => !one.gone && one.branch === branch)) this.#workElsewhere(worktree, branch);
    const [ours, theirs] = [worktree.text, this.contentOf(branch)];
    const [mine, other] = [this.#commit(worktree.branch, ours), this.#commit(branch, theirs)];
    const base = this.#mergeBase(mine, other);
    if (base === other) return { kind: "nothing" };
    if (base === mine) {
      this.#log(`git merge ${branch} in ${worktree.name}: forward`);
      this.#heads.set(worktree.branch, other);
      this.#replace(worktree, theirs);
      return { kind: "forward" };
    }
    const was = this.#commits[base]?.text ?? "";
    const bytes = { base: Buffer.from(was), ours: Buffer.from(ours), theirs: Buffer.from(theirs) };
    let merge = await mergeSpecs(bytes);
    if (merge.kind === "merged" && merge.conflicts.length > 0) merge = await mergeSpecs(bytes, { take: "ours" });
    if (merge.kind !== "merged") throw new Error(`A merge of ${branch} came to nothing: ${JSON.stringify(merge)}`);
    if (merge.conflicts.length > 0) {
      this.#log(`git merge ${branch} in ${worktree.name}: aborted`);
      return { kind: "aborted" };
    }
    this.#log(`git merge ${branch} in ${worktree.name}`);
    const text = Buffer.from(merge.bytes).toString();
    this.#commit(worktree.branch, text, other);
    this.#replace(worktree, text);
    return { kind: "merged", base: was, ours, theirs, text };
  }

  /** What a person does in an editor, or what arrives by `git pull` from another clone. */
  edit(worktree: Worktree): string {
    const { text, what } = this.#edited(worktree.text, worktree.name);
    if (this.#random.below(2) === 0) {
      this.#replace(worktree, text);
      return what;
    }
    writeFileSync(worktree.spec, text);
    this.#stamp(worktree.spec);
    worktree.text = text;
    return what;
  }

  #edited(before: string, where: string): { readonly text: string; readonly what: string } {
    const spec = readRaw(before);
    const ids = Object.keys(spec.tasks);
    const id = this.#random.pick(ids);
    const raw = spec.tasks[id];
    const { outcome, key } = readTasks(before).get(id) as SpecTask;
    const kind = this.#random.below(8);
    const what = ["dependency", "priority", "word", "backwards", "pulled", "added", "dependency", "word"][kind] ?? "";
    if (kind === 0 || kind === 6) {
      const need = this.#random.pick(ids);
      if (need < id) raw.depends_on = [...new Set([...(raw.depends_on ?? []), need])];
    } else if (kind === 1) raw.priority = this.#random.below(5);
    else if ((kind === 2 || kind === 7) && outcome.rank === 0)
      raw.status = this.#random.pick(["todo", "blocked", "ready", "ready"]);
    else if (kind === 3) raw.status = "ready";
    else if (kind === 4) {
      // Another clone's work: its reopenings have ids that this one never made.
      this.#serial += 1;
      if (this.#random.below(2) === 0) {
        const reopen = this.#counted ? `r${(raw.reopens ?? []).length + 1}` : `x${this.#serial}`;
        raw.reopens = [...(raw.reopens ?? []), reopen];
        this.reopenedElsewhere.add(`${key} ${reopen}`);
      }
      raw.status = this.#random.pick(["ready", "done", "verified", "deleted"]);
      if (raw.status === "deleted") raw.verified_at = new Date(this.clock.now()).toISOString();
    } else if (kind === 5) {
      // The same id may be another branch's task: its time of creation tells them apart.
      const added = this.#random.pick(["F", "G", "H"]);
      if (spec.tasks[added] === undefined) spec.tasks[added] = rawTask(added, this.clock.now(), { depends_on: [] });
    }
    this.#log(`edit of ${id} in ${where}: ${what}`);
    return { text: written(spec), what };
  }

  /**
   * Goes to a branch that has no `.lodestar/`, and back.
   *
   * @param body what happens there.
   */
  async onBareBranch(worktree: Worktree, body: () => Promise<void>): Promise<void> {
    this.#log(`git checkout bare in ${worktree.name}, and back`);
    const ignore = path(worktree.root, INSIDE, ".gitignore");
    const rules = existsSync(ignore) ? readFileSync(ignore, "utf8") : undefined;
    rmSync(worktree.spec);
    rmSync(ignore, { force: true });
    writeFileSync(worktree.head, "ref: refs/heads/bare\n");
    try {
      await body();
    } finally {
      writeFileSync(worktree.head, `ref: refs/heads/${worktree.branch}\n`);
      if (rules !== undefined) writeFileSync(ignore, rules);
      this.#replace(worktree, worktree.text);
    }
  }

  /** What Git would add here: what is neither the spec nor covered by this clone's `info/exclude`. */
  untracked(worktree: Worktree): readonly string[] {
    const folder = path(worktree.root, INSIDE);
    const exclude = path(this.base, "main", ".git", "info", "exclude");
    const rules = (existsSync(exclude) ? readFileSync(exclude, "utf8").split("\n") : [])
      .filter((line) => line.startsWith(`**/${INSIDE}/`))
      .map((line) => new Bun.Glob(line.slice(INSIDE.length + 4)));
    if (!existsSync(folder)) return [];
    return this.files(worktree).filter(
      (name) => name !== "spec.yaml" && name !== ".gitignore" && !rules.some((rule) => rule.match(name)),
    );
  }

  /** The names in the worktree's `.lodestar/`. */
  files(worktree: Worktree): readonly string[] {
    const folder = path(worktree.root, INSIDE);
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  /**
   * A merge on a host, which knows nothing of the driver and keeps both texts in one gap: a task stands twice (counterexample 24).
   * It is put right again afterwards.
   */
  async withTwice(worktree: Worktree, id: string, body: () => Promise<void>): Promise<void> {
    this.#log(`a merge on a host leaves ${id} twice in ${worktree.name}`);
    const { text } = worktree;
    const raw = readRaw(text).tasks[id];
    const copy = block({ [id]: { ...raw, status: raw.status === "ready" ? "verified" : "ready" } }, "  ");
    const twice = `${text.endsWith("\n") ? text : `${text}\n`}${copy}`;
    this.#replace(worktree, twice);
    try {
      await body();
    } finally {
      this.#replace(worktree, text);
    }
  }

  deleteIndex(worktree: Worktree): void {
    this.#log(`the index of ${worktree.name} is deleted`);
    for (const part of ["-wal", "-shm", ""])
      rmSync(path(worktree.root, ".lodestar", `index.sqlite${part}`), { force: true });
  }

  removeWorktree(worktree: Worktree): void {
    this.#log(`worktree ${worktree.name} is removed`);
    this.#commit(worktree.branch, worktree.text);
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

/** A spec as text: what a YAML library would write of these few kinds of values, at a tenth of its time. */
const written = (spec: RawSpec): string => block({ ...spec }, "");

function block(map: Readonly<Record<string, unknown>>, indent: string): string {
  let text = "";
  for (const [key, value] of Object.entries(map)) {
    if (value === undefined) continue;
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
    if (isMap) text += `${indent}${key}:\n${block(value as Record<string, unknown>, `${indent}  `)}`;
    else if (Array.isArray(value) && value.length > 0)
      text += `${indent}${key}:\n${value.map((item) => `${indent}  - ${scalar(item)}\n`).join("")}`;
    else text += `${indent}${key}: ${scalar(value)}\n`;
  }
  return text;
}

const scalar = (value: unknown): string =>
  typeof value === "string" && /^[A-Za-z][\w .-]*$/.test(value) ? value : JSON.stringify(value);
