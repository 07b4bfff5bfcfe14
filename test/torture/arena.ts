import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { SeededRandom } from "../support/clock.ts";
import { binary, faultyBinary, type Sandbox, sandbox } from "../support/sandbox.ts";
import type { HistoryFile } from "./history.ts";

/** A worktree, and who is at it. */
export interface Worktree {
  readonly name: string;
  readonly root: string;
  readonly spec: string;
  /** Git is changing the files here: whoever stands still now would stand in the window that S3 leaves open to Git. */
  gitIsAtIt: boolean;
  /** Processes that may be standing still. */
  standing: number;
}

/** One repository with its worktrees, the program, and what all who torture it share. */
export interface Arena {
  readonly here: Sandbox;
  readonly worktrees: readonly Worktree[];
  readonly lodestar: string;
  readonly faulty: string;
  readonly history: HistoryFile;
  readonly random: SeededRandom;
  /** Ids of tasks that were heard of, for whoever picks one. */
  readonly tasks: string[];
  readonly counts: Counts;
  /** When the torturing ends, by `Date.now()`. */
  readonly until: number;
  environment(more?: Readonly<Record<string, string>>): Record<string, string>;
  /** A number that nobody has had. */
  serial(): number;
  git(worktree: Worktree, ...args: readonly string[]): Promise<Git>;
  /** Git on a machine where the program is not on the path: the spec is merged as text (S4). */
  gitWithoutUs(worktree: Worktree, ...args: readonly string[]): Promise<Git>;
}

export interface Git {
  readonly exit: number;
  readonly out: string;
}

/** How often each thing happened. */
export interface Counts {
  calls: number;
  retries: number;
  killed: number;
  killed_at_a_point: number;
  stopped: number;
  dropped_answers: number;
  edits: number;
  edits_in_place: number;
  discards: number;
  commits: number;
  checkouts: number;
  merges: number;
  merges_by_text: number;
  indexes_deleted: number;
}
export const noCounts = (): Counts => ({
  calls: 0,
  retries: 0,
  killed: 0,
  killed_at_a_point: 0,
  stopped: 0,
  dropped_answers: 0,
  edits: 0,
  edits_in_place: 0,
  discards: 0,
  commits: 0,
  checkouts: 0,
  merges: 0,
  merges_by_text: 0,
  indexes_deleted: 0,
});

/** Who discards, checks out and merges needs a branch that nobody else is on. */
export const BRANCHES = ["main", "feat", "fix", "spare"] as const;
const FIRST_TASKS = 12;

/** A repository with three worktrees on three of four branches, the program on the path, hooks installed, agents joined. */
export async function makeArena(
  options: { readonly agents: readonly string[]; readonly until: number },
  history: HistoryFile,
  random: SeededRandom,
): Promise<Arena> {
  const here = sandbox();
  const [lodestar, faulty] = [binary(), faultyBinary()];
  // The merge driver and the hooks look for the program there.
  const bin = join(here.base, "bin");
  mkdirSync(bin);
  symlinkSync(lodestar, join(bin, "lodestar"));
  const environment: Arena["environment"] = (more) =>
    here.environment({ PATH: `${bin}:${process.env.PATH ?? ""}`, ...more });
  const at = (name: string, root: string): Worktree => ({
    ...{ name, root, spec: join(root, ".lodestar", "spec.yaml") },
    ...{ gitIsAtIt: false, standing: 0 },
  });
  const worktrees = [at("main", here.path), at("w1", join(here.base, "w1")), at("w2", join(here.base, "w2"))];
  let serial = 0;
  const arena: Arena = {
    ...{ here, worktrees, lodestar, faulty, history, random, environment, until: options.until },
    tasks: Array.from({ length: FIRST_TASKS }, (_, i) => `S${String(i + 1).padStart(2, "0")}`),
    counts: noCounts(),
    serial: () => {
      serial += 1;
      return serial;
    },
    git: (worktree, ...args) => runGit(worktree, args, environment()),
    gitWithoutUs: (worktree, ...args) => runGit(worktree, args, here.environment()),
  };
  const must = async (...args: readonly string[]): Promise<void> => {
    const { exit, stdout, stderr } = await here.run(args, { program: lodestar, env: environment() });
    if (exit !== 0) throw new Error(`lodestar ${args.join(" ")}: ${stdout}${stderr}`);
  };
  await must("init", "--no-agents-md");
  here.write(".lodestar/spec.yaml", firstSpec(arena.tasks));
  if (random.below(2) === 0) await must("git", "install", "--hooks");
  here.git("add", "-A");
  here.git("commit", "-q", "-m", "Plan");
  for (const branch of BRANCHES.slice(1)) here.git("branch", branch);
  for (const [i, { root }] of worktrees.entries())
    if (i > 0) here.git("worktree", "add", "-q", root, BRANCHES[i] ?? "main");
  for (const agent of options.agents) await must("agent", "join", "--id", agent);
  return arena;
}

/** A plan as people write one: comments, and room between tasks, so that Git can merge them as text too. */
function firstSpec(ids: readonly string[]): string {
  const tasks = ids.map((id, i) => {
    const needs = i % 3 === 2 ? `    depends_on: [${ids[i - 1]}]\n` : "";
    return `  ${id}:\n    title: Title of ${id}\n    status: ready\n    priority: ${i % 4}\n${needs}    created_at: 2026-01-01T00:00:00.000Z\n    # the end of ${id},\n    # and room enough before the next\n`;
  });
  return `# Kept by hand\nproject:\n  name: torture\n  default_branch: main\n  conventions: {}\ntasks:\n${tasks.join("")}`;
}

async function runGit(worktree: Worktree, args: readonly string[], env: Record<string, string>): Promise<Git> {
  const child = Bun.spawn(["git", ...args], {
    ...{ cwd: worktree.root, env: { ...env, GIT_EDITOR: "true" } },
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { exit: await child.exited, out: `${out}${err}` };
}
