/** A sandbox whose Git finds the compiled program by its name, as the merge driver and the hooks do. */
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { binary, type Ran, type Sandbox, sandbox } from "../support/sandbox.ts";

export interface GitRun {
  readonly exit: number;
  readonly out: string;
}

export interface Repository extends Disposable {
  readonly here: Sandbox;
  readonly path: string;
  /** Runs git, whatever comes of it; standard output and error together. */
  tryGit(args: readonly string[], options?: { readonly agent?: string; readonly cwd?: string }): GitRun;
  /** Runs git; fails when git does. */
  git(...args: readonly string[]): string;
  /** Runs lodestar; fails when it does. */
  lodestar(...args: readonly string[]): Promise<Ran>;
  spec(): string;
  commit(message: string): void;
}

/** A repository with a plan: tasks A to D, an agent ADA and an agent BEN; committed. */
export async function repository({ driver = true }: { readonly driver?: boolean } = {}): Promise<Repository> {
  const here = sandbox();
  const bin = join(here.base, "bin");
  mkdirSync(bin);
  symlinkSync(binary(), join(bin, "lodestar"));
  const env = (agent?: string) => {
    const base = here.environment({ GIT_EDITOR: "true", ...(agent === undefined ? {} : { LODESTAR_AGENT: agent }) });
    return { ...base, PATH: `${bin}:${base.PATH}` };
  };
  const tryGit: Repository["tryGit"] = (args, { agent, cwd = here.path } = {}) => {
    const ran = Bun.spawnSync(["git", ...args], { cwd, env: env(agent), stdout: "pipe", stderr: "pipe" });
    return { exit: ran.exitCode, out: ran.stdout.toString() + ran.stderr.toString() };
  };
  const git: Repository["git"] = (...args) => {
    const { exit, out } = tryGit(args);
    if (exit !== 0) throw new Error(`git ${args.join(" ")}: ${out}`);
    return out;
  };
  const lodestar: Repository["lodestar"] = async (...args) => {
    const ran = await here.run(args);
    if (ran.exit !== 0) throw new Error(`lodestar ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
    return ran;
  };
  await lodestar("init", "--name", "shop", ...(driver ? [] : ["--no-git"]));
  for (const id of ["A", "B", "C", "D"]) await lodestar("task", "create", "--id", id, "--title", `Task ${id}`);
  for (const id of ["ADA", "BEN"]) await lodestar("agent", "join", "--id", id);
  const commit = (message: string): void => {
    git("add", "-A");
    git("commit", "-q", "-m", message);
  };
  commit("plan");
  return {
    here,
    path: here.path,
    tryGit,
    git,
    lodestar,
    spec: () => readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8"),
    commit,
    [Symbol.dispose]: here.remove,
  };
}
