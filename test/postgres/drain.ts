/**
 * Many processes of the compiled program in two clones of one repository, which share a runtime on PostgreSQL, take all tasks there are;
 * meanwhile the server may be killed. What they were told is judged by the checker of the torture runs.
 */
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { specText } from "../support/fleet.ts";
import type { Cluster } from "../support/postgres.ts";
import { binary, type Ran, type Sandbox, sandbox } from "../support/sandbox.ts";
import { type Judgement, judge } from "../torture/checker.ts";
import type { Answered, Asked, Doctor, Entry, Found } from "../torture/history.ts";

export interface DrainOptions {
  readonly tasks: number;
  readonly workers: number;
  /** How often the server is killed on the way. */
  readonly kills: number;
  readonly say?: (line: string) => void;
}

export interface Drained {
  readonly judgement: Judgement;
  /** Task → the agents that were told that they hold it. */
  readonly holders: ReadonlyMap<string, readonly string[]>;
  readonly retries: number;
}

/** A call is asked so often, when it was told to try again or was told nothing. */
const ATTEMPTS = 40;
const LATER: ReadonlySet<string> = new Set(["RUNTIME_UNREACHABLE", "BUSY"]);

interface Clone {
  readonly name: string;
  readonly root: string;
}

interface Wish {
  readonly command: string;
  readonly args: readonly string[];
  readonly tasks?: readonly string[];
  readonly token?: number;
}

export async function drain(cluster: Cluster, options: DrainOptions): Promise<Drained> {
  using here = sandbox();
  const lodestar = binary();
  // The merge driver looks for the program there.
  const bin = join(here.base, "bin");
  mkdirSync(bin);
  symlinkSync(lodestar, join(bin, "lodestar"));
  const ids = Array.from({ length: options.tasks }, (_, i) => `T${String(i + 1).padStart(4, "0")}`);
  const run = (root: string, ...args: readonly string[]): Promise<Ran> =>
    here.run([...args, "--json"], {
      ...{ cwd: root, program: lodestar },
      env: { LODESTAR_RUNTIME: cluster.url(), PATH: `${bin}:${process.env.PATH ?? ""}` },
    });
  const clones = await makeClones(here, ids, run);
  const history: Entry[] = [];
  const holders = new Map<string, string[]>();
  let [calls, retries, done] = [0, 0, 0];

  const ask = async (clone: Clone, agent: string, wish: Wish) => {
    calls += 1;
    const call = calls;
    for (let attempt = 1; ; attempt += 1) {
      const key = `drain-${call}`;
      const { command, args, tasks = [], ...token } = wish;
      const asked: Asked = {
        ...{ kind: "asked", at: Date.now(), call, attempt, agent, worktree: clone.name, command, args, tasks, key },
        ...token,
      };
      history.push(asked);
      const given = wish.token === undefined ? [] : ["--fencing-token", String(wish.token)];
      const words = [...command.split(" "), ...args, ...given, "--agent", agent, "--idempotency-key", key];
      const answered = answerOf(await run(clone.root, ...words), call, attempt);
      history.push(answered);
      const again = answered.result === "silent" || LATER.has(answered.code ?? "");
      if (!again || attempt >= ATTEMPTS) return answered;
      retries += 1;
    }
  };

  const work = async (n: number): Promise<void> => {
    const clone = clones[n % clones.length] as Clone;
    const agent = `A${n}`;
    await ask(clone, agent, { command: "agent join", args: ["--id", agent] });
    for (;;) {
      const claimed = await ask(clone, agent, { command: "task next --claim", args: ["--ttl", "30m"] });
      const { task_id, fencing_token } = claimed.data ?? {};
      if (task_id === undefined) return;
      holders.set(task_id, [...(holders.get(task_id) ?? []), agent]);
      await ask(clone, agent, { command: "task done", args: [task_id], tasks: [task_id], token: fencing_token });
      done += 1;
    }
  };

  const strike = async (): Promise<void> => {
    for (let n = 1; n <= options.kills; n += 1) {
      const after = Math.floor((options.tasks * n) / (options.kills + 1));
      while (done < after) await Bun.sleep(20);
      await cluster.kill();
      options.say?.(`after ${done} tasks the server was killed`);
      await cluster.up();
    }
  };

  const workers = Array.from({ length: options.workers }, (_, i) => work(i + 1));
  await Promise.all([...workers, strike()]);
  const found = await lookFor(cluster, here, clones, run);
  return { judgement: judge([...history, found]), holders, retries };
}

async function makeClones(
  here: Sandbox,
  ids: readonly string[],
  run: (root: string, ...args: readonly string[]) => Promise<Ran>,
): Promise<readonly Clone[]> {
  const clones = [
    { name: "one", root: here.path },
    { name: "two", root: join(here.base, "two") },
  ];
  await must(run(here.path, "init", "--no-agents-md"));
  here.write(
    ".lodestar/spec.yaml",
    specText(ids, () => [], "{ project_id: drained }"),
  );
  here.git("add", "-A");
  here.git("commit", "-q", "-m", "Plan");
  here.git("clone", "-q", here.path, clones[1]?.root ?? "");
  for (const { root } of clones) {
    here.git("-C", root, "config", "user.name", "Tester");
    here.git("-C", root, "config", "user.email", "tester@example.org");
    await must(run(root, "git", "install"));
  }
  return clones;
}

async function must(call: Promise<Ran>): Promise<Ran> {
  const ran = await call;
  if (ran.exit !== 0) throw new Error(`${ran.stdout}${ran.stderr}`);
  return ran;
}

function answerOf({ exit, stdout }: Ran, call: number, attempt: number): Answered {
  const about = { kind: "answered", at: Date.now(), call, attempt } as const;
  if (stdout === "") return { ...about, result: "silent" };
  try {
    const { ok, data, error } = JSON.parse(stdout);
    if (ok === true && exit === 0) return { ...about, result: "ok", data };
    return { ...about, result: "refused", code: error.code, said: error.message };
  } catch {
    return { ...about, result: "broken", said: stdout };
  }
}

/** Everything that is there when all is over, read with SQL of the tests' own. */
async function lookFor(
  cluster: Cluster,
  here: Sandbox,
  clones: readonly Clone[],
  run: (root: string, ...args: readonly string[]) => Promise<Ran>,
): Promise<Found> {
  const doctors: Doctor[] = [];
  const heal = async ({ name, root }: Clone): Promise<void> => {
    await run(root, "doctor", "--fix");
    const { exit, json, stdout } = await run(root, "doctor");
    doctors.push({ worktree: name, healthy: exit === 0 && json.data.healthy, said: stdout });
  };
  const git = (root: string, ...args: readonly string[]) => here.git("-C", root, ...args);
  const specOf = (root: string) => readFileSync(join(root, ".lodestar", "spec.yaml"), "utf8");
  for (const clone of clones) {
    await heal(clone);
    git(clone.root, "commit", "-q", "-a", "-m", "Work");
  }
  const branch = git(here.path, "branch", "--show-current").trim();
  const specs = clones.map(({ root }) => ({ root, branch, text: specOf(root) }));
  const [one, two] = clones;
  if (one === undefined || two === undefined) throw new Error("There are two clones.");
  git(one.root, "pull", "-q", "--no-rebase", "--no-edit", two.root, branch);
  await heal(one);
  const { json } = await must(run(one.root, "task", "list", "--include-deleted", "--limit", "100000"));
  const mine = "project_id = 'drained'";
  const outcome =
    "task_id, created_at, version::float8 as version, reopens, rank, case when verified then 1 else 0 end as verified";
  const table = async (text: string) => (await cluster.admin(text)).map((row) => ({ ...row }));
  return {
    ...{ kind: "found", at: Date.now(), damaged: [], leftovers: [], doctors, specs, listed: json.data.tasks },
    merged: specOf(one.root),
    leases:
      await table(`select fencing_token::float8 as fencing_token, task_id, created_at, lease_id, kind, agent_id, session,
      reopens, granted_at::float8 as granted_at, expires_at::float8 as expires_at, ended, ended_at::float8 as ended_at
      from lodestar.lease where ${mine} order by fencing_token`),
    outcomes: await table(`select ${outcome} from lodestar.outcome where ${mine}`),
    outbox: await table(`select outbox_id::float8 as outbox_id, target_worktree, target_branch, change, ${outcome}
      from lodestar.outbox where ${mine} order by outbox_id`),
    events: await table(`select seq::float8 as seq, created_at::float8 as created_at, type, agent_id, task_id, data
      from lodestar.event where ${mine} order by seq`),
    agents: (await table(`select agent_id from lodestar.agent where ${mine}`)).map(({ agent_id }) => agent_id),
    notes: await table(`select task_id, text from lodestar.message where ${mine}`),
  };
}
