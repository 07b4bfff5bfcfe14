import { Database } from "bun:sqlite";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../support/clock.ts";
import { readEvents, readLeases, readOutbox, readOutcomes } from "../support/runtime-tables.ts";
import { type Arena, BRANCHES, type Counts, makeArena, type Worktree } from "./arena.ts";
import { type Judgement, judge } from "./checker.ts";
import { type Doctor, type Found, HistoryFile } from "./history.ts";
import { person, settle } from "./strangers.ts";
import { Worker } from "./worker.ts";

export interface TortureOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly workers: number;
  /** Where the history is written, as JSON lines. */
  readonly path: string;
}

export interface Tortured {
  readonly judgement: Judgement;
  readonly counts: Counts;
  readonly path: string;
  /** The repository, left as it is because something was wrong. */
  readonly left?: string;
}

/**
 * Workers, people and Git at one repository for so long; then everything is healed and looked for. The seed decides what is tried;
 * what comes of it, the machine does.
 */
export async function torture({ seed, seconds, workers, path }: TortureOptions): Promise<Tortured> {
  const history = new HistoryFile(path);
  const random = new SeededRandom(seed);
  const agents = Array.from({ length: workers }, (_, i) => `A${i + 1}`);
  const arena = await makeArena({ agents, until: Date.now() + seconds * 1000 }, history, random);
  try {
    await Promise.all([
      ...agents.map((agent) => new Worker(arena, agent).run()),
      ...arena.worktrees.map((worktree) => person(arena, worktree)),
    ]);
    history.add(await lookForEverything(arena));
    const judgement = judge(history.entries);
    const told = { judgement, counts: arena.counts, path };
    if (judgement.violations.length > 0) return { ...told, left: arena.here.path };
    arena.here.remove();
    return told;
  } catch (cause) {
    throw new Error(`Left as it is: ${arena.here.base}, history ${path}`, { cause });
  } finally {
    history.close();
  }
}

async function lookForEverything(arena: Arena): Promise<Found> {
  const { worktrees } = arena;
  const doctors: Doctor[] = [];
  const leftovers: string[] = [];
  const specs: Found["specs"][number][] = [];
  const finish = async (worktree: Worktree): Promise<void> => {
    await settle(arena, worktree);
    // Whoever comes next heals, and sweeps up after the dead.
    await ok(arena, worktree, "task", "update", "S01", "--add-label", `last-${arena.serial()}`);
    doctors.push(await heal(arena, worktree));
    leftovers.push(...left(worktree));
    await arena.git(worktree, "commit", "-q", "-a", "-m", "Last work");
    const branch = (await arena.git(worktree, "branch", "--show-current")).out.trim();
    specs.push({ root: worktree.root, branch, text: readFileSync(worktree.spec, "utf8") });
  };
  const [first] = worktrees;
  if (first === undefined) throw new Error("There is no worktree.");
  for (const worktree of worktrees) await finish(worktree);
  // An outcome is written on the branch where it was made: the one that nobody is on has its turn too.
  for (const branch of BRANCHES.filter((name) => specs.every((spec) => spec.branch !== name))) {
    const { exit, out } = await arena.git(first, "checkout", "-q", branch);
    if (exit !== 0) throw new Error(`At the end, git checkout ${branch}: ${out}`);
    await finish(first);
  }
  doctors.push(await mergeAll(arena, first));
  const { tasks } = await ok(arena, first, "task", "list", "--include-deleted", "--limit", "100000");
  const damaged = integrity(worktrees);
  const database = new Database(join(arena.here.path, ".lodestar", "runtime.sqlite"), { readonly: true });
  try {
    return {
      ...{ kind: "found", at: Date.now(), damaged, doctors, leftovers, specs, listed: tasks },
      merged: readFileSync(first.spec, "utf8"),
      leases: readLeases(database),
      outcomes: readOutcomes(database),
      outbox: readOutbox(database),
      events: readEvents(database),
      agents: (database.query("select agent_id from agent").all() as { agent_id: string }[]).map(
        ({ agent_id }) => agent_id,
      ),
      notes: database.query("select task_id, text from message").all() as Found["notes"],
    };
  } finally {
    database.close();
  }
}

/** All branches into the one of this worktree. */
async function mergeAll(arena: Arena, worktree: Worktree): Promise<Doctor> {
  const { out } = await arena.git(worktree, "for-each-ref", "--format=%(refname:short)", "refs/heads");
  for (const branch of out.trim().split("\n")) {
    const merged = await arena.git(worktree, "merge", "-q", "--no-edit", branch);
    if (merged.exit !== 0) await settle(arena, worktree);
    const { exit } = await arena.git(worktree, "merge-base", "--is-ancestor", branch, "HEAD");
    if (exit !== 0) throw new Error(`${branch} cannot be merged: ${merged.out}`);
  }
  return heal(arena, worktree);
}

async function heal(arena: Arena, worktree: Worktree): Promise<Doctor> {
  await call(arena, worktree, "doctor", "--fix");
  const { exit, json, stdout } = await call(arena, worktree, "doctor");
  return { worktree: worktree.name, healthy: exit === 0 && json.data.healthy, said: stdout };
}

const call = (arena: Arena, worktree: Worktree, ...args: readonly string[]) =>
  arena.here.run([...args, "--json"], { cwd: worktree.root, program: arena.lodestar, env: arena.environment() });

// biome-ignore lint/suspicious/noExplicitAny: the answer of any command.
async function ok(arena: Arena, worktree: Worktree, ...args: readonly string[]): Promise<any> {
  const { exit, json, stdout } = await call(arena, worktree, ...args);
  if (exit !== 0) throw new Error(`At the end, lodestar ${args.join(" ")} in ${worktree.name}: ${stdout}`);
  return json.data;
}

/** Temp files of saves, and Git's locks. */
function left({ root, name }: Worktree): string[] {
  const files = readdirSync(join(root, ".lodestar")).filter((file) => file.endsWith(".tmp") || file.endsWith("~"));
  const git = name === "main" ? join(root, ".git") : join(root, "..", "repo", ".git", "worktrees", name);
  return [...files, ...(existsSync(join(git, "index.lock")) ? ["index.lock"] : [])].map((file) => `${name}: ${file}`);
}

/** What SQLite says of each database that is not ok. */
function integrity(worktrees: readonly Worktree[]): string[] {
  return worktrees.flatMap(({ root, name }) =>
    ["runtime.sqlite", "index.sqlite"].flatMap((file) => {
      const path = join(root, ".lodestar", file);
      if (!existsSync(path)) return [];
      using database = new Database(path, { readwrite: true, create: false });
      const rows = database.query("pragma integrity_check").all() as { integrity_check: string }[];
      return rows.flatMap(({ integrity_check }) =>
        integrity_check === "ok" ? [] : [`${name}/${file}: ${integrity_check}`],
      );
    }),
  );
}
