/** What the Git hooks do for an acting agent. */
import { existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { isSatisfied, joinOutcomes, NO_OUTCOME, type Outcome, statusOf } from "../../core/status.ts";
import { keyOf, specOutcome, specWord, type Task } from "../../core/task.ts";
import { formatInstant } from "../../core/time.ts";
import type { Hook } from "../../git/hooks.ts";
import { git, gitSays, startBehind } from "../../git/run.ts";
import type { Lease } from "../../lease/lease.ts";
import { HeldPaths } from "../../lease/locks.ts";
import { asBuffer, divide } from "../../spec/division.ts";
import { SpecIndex } from "../../spec/index.ts";
import { readSpecBytes } from "../../spec/key.ts";
import { tryParse } from "../../spec/parse.ts";
import { isMapping, readTask } from "../../spec/schema.ts";
import type { Context } from "../context.ts";
import { isSameKey, lookWith } from "../look.ts";
import { HEAL_PATIENCE, heal } from "../outcome.ts";
import { dropNote, leaveNote } from "./hook-note.ts";

interface Done {
  readonly later?: true;
  readonly tasks?: string[];
  readonly written?: string[];
  readonly unblocked?: string[];
}

/** @throws LodestarError `LOCK_CONFLICT` from pre-commit; whatever else, which is then a warning. */
export async function runHook(hook: Hook, args: readonly string[], agent_id: string, context: Context): Promise<Done> {
  switch (hook) {
    case "pre-commit":
      await checkLocks(agent_id, context);
      return {};
    case "prepare-commit-msg":
      return addTrailers(args, agent_id, context);
    case "post-merge":
      return soonOrLater(hook, args, agent_id, context);
    case "post-checkout":
      // 0: files were checked out, not a branch.
      return args[2] === "0" || isUnderWay(context, hook) ? {} : soonOrLater(hook, args, agent_id, context);
  }
}

/** A spec of this size, some 600 tasks, is read and brought in step while nobody notices. Git never waits for a larger one. */
const SOON = 512 * 1024;

async function soonOrLater(hook: Hook, args: readonly string[], agent_id: string, context: Context): Promise<Done> {
  const { place, spec } = context;
  // What was found out on the way to where we were is of no use here.
  dropNote(place);
  if ((statSync(spec.paths.spec, { throwIfNoEntry: false })?.size ?? 0) <= SOON) return bringInStep(context);
  if (!(await isBehind(context))) return {};
  // Under the person's feet nothing is done that takes long; the outcomes themselves hold already (T1).
  const isStarted = startBehind(place.worktree, "git", "hook", hook, "--behind", "--agent", agent_id, "--", ...args);
  return isStarted ? { later: true } : bringInStep(context);
}

/** Whether there may be something to do: the spec is not what was last looked at here, or outcomes wait. */
async function isBehind(context: Context): Promise<boolean> {
  const index = SpecIndex.open(context.spec.paths.index, false);
  try {
    if (index?.header()?.key !== context.spec.key()) return true;
    return ((await (await context.runtimeIfAny())?.outbox()) ?? []).length > 0;
  } finally {
    index?.close();
  }
}

/** The same after the hook has returned. Whatever comes of it is left for the next command; nobody sees what this one prints. */
export async function runBehind(hook: Hook, context: Context): Promise<Done> {
  const branch = context.branch();
  try {
    // Git may have gone on meanwhile, to a rebase or to a merge with conflicts.
    if (isUnderWay(context, hook)) return {};
    const done = await bringInStep(context);
    // So that the next command finds a fresh index; before, it would have to read the whole spec.
    await context.spec.index("write");
    if (context.branch() === branch && (done.written !== undefined || done.unblocked !== undefined))
      leaveNote(context.place, { hook, branch, ...done });
    return done;
  } catch (cause) {
    leaveNote(context.place, { hook, branch, problem: cause instanceof Error ? cause.message : String(cause) });
    throw cause;
  }
}

/** Staged files inside the path locks of tasks that others hold. */
async function checkLocks(agent_id: string, context: Context): Promise<void> {
  const runtime = await context.runtimeIfAny();
  if (runtime === undefined) return;
  const { leases } = await runtime.agents();
  const paths = new HeldPaths(leases, agent_id);
  if (paths.none) return;
  const found = stagedFiles(context).flatMap((path) => paths.on(path) ?? []);
  const [first] = found;
  if (first === undefined) return;
  const held = ({ lease }: { lease: Lease }) =>
    `locked by task ${lease.task_id}, held by ${lease.agent_id} until ${formatInstant(lease.expires_at)}`;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
  throw new LodestarError("LOCK_CONFLICT", `${first.path} is ${held(first)}${more}`, {
    details: {
      files: found.map((each) => ({
        id: each.path,
        task_id: each.lease.task_id,
        agent_id: each.lease.agent_id,
        expires_at: formatInstant(each.lease.expires_at),
        pattern: each.pattern,
        ...(found.length > 1 ? { message: `${each.path} is ${held(each)}` } : {}),
      })),
    },
    hint: "Leave these files out of the commit, wait for the lease to end, or override with `git commit --no-verify`.",
  });
}

/** Staged paths as locks name them: from the folder of `.lodestar/`, without the spec, which every agent commits. */
function stagedFiles({ place }: Context): string[] {
  const listed = git(place.worktree, "diff", "--cached", "--name-only", "--no-renames", "-z");
  if (listed === undefined || listed.exit !== 0)
    throw new Error(`git diff --cached: ${listed?.err ?? "git is not there"}`);
  const inside = relative(place.worktree, place.root).replaceAll("\\", "/");
  const prefix = inside === "" ? "" : `${inside}/`;
  return listed.out
    .toString()
    .split("\0")
    .filter((path) => path !== "" && path.startsWith(prefix))
    .map((path) => path.slice(prefix.length))
    .filter((path) => !path.startsWith(".lodestar/"));
}

/** One trailer for each task that the agent holds here; for an agent that holds none, what it finished since the last commit. */
async function addTrailers([file, source]: readonly string[], agent_id: string, context: Context): Promise<Done> {
  if (file === undefined || source === "merge") return {};
  const runtime = await context.runtimeIfAny();
  if (runtime === undefined) return {};
  const { leases } = await runtime.agents();
  const { worktree, session } = context;
  const held = leases.filter(
    (lease) => lease.agent_id === agent_id && lease.kind === "work" && lease.session === session,
  );
  let tasks = held.map(({ task_id }) => task_id);
  if (tasks.length === 0) {
    const since = Number(gitSays(context.place.worktree, "log", "-1", "--format=%ct") ?? "0") * 1000;
    const query = { types: ["task.done"], agent_id, limit: 100 };
    const asked = await runtime.events({ ...query, since });
    // A runtime younger than the commit has nothing from before it: all that it keeps came since.
    const page = asked.kind === "pruned" ? await runtime.events({ ...query, since: 0 }) : asked;
    const done = page.kind === "page" ? page.events.flatMap(({ task_id }) => task_id ?? []) : [];
    const known = done.length === 0 ? [] : await runtime.lookup([...new Set(done)]);
    const branch = context.branch();
    tasks = known.flatMap(({ outcome, key }) =>
      outcome?.worktree === worktree && outcome.branch === branch ? [key.task_id] : [],
    );
  }
  if (tasks.length === 0) return {};
  const path = resolve(context.place.worktree, file);
  const trailers = tasks.flatMap((id) => ["--trailer", `Lodestar-Task: ${id}`]);
  const ran = git(
    context.place.worktree,
    "interpret-trailers",
    "--in-place",
    "--if-exists",
    "addIfDifferent",
    ...trailers,
    path,
  );
  if (ran?.exit !== 0) throw new Error(`git interpret-trailers: ${ran?.err ?? "git is not there"}`);
  return { tasks };
}

/** In the middle of these Git counts on the files as they are. (While post-merge runs the merge is over, though MERGE_HEAD is there.) */
const UNDER_WAY = ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"];

function isUnderWay({ place }: Context, hook: Hook): boolean {
  const git_dir = place.git?.git_dir;
  const names = hook === "post-merge" ? UNDER_WAY.filter((name) => name !== "MERGE_HEAD") : UNDER_WAY;
  return git_dir !== undefined && names.some((name) => existsSync(join(git_dir, name)));
}

/** Writes what had waited for this branch, and tells what became claimable since the spec was last looked at here. */
async function bringInStep(context: Context): Promise<Done> {
  // The index still holds the spec as it was when it was last looked at here.
  const before = SpecIndex.open(context.spec.paths.index, false);
  try {
    before?.beginRead();
    const key = before?.header()?.key;
    const isChanged = key !== context.spec.key();
    const unblocked = before === undefined || !isChanged ? [] : await newlyClaimable(context, before);
    const written = await heal(context, HEAL_PATIENCE);
    return {
      ...(written.length === 0 ? {} : { written: [...written] }),
      ...(unblocked.length === 0 ? {} : { unblocked }),
    };
  } finally {
    before?.close();
  }
}

/**
 * Existing tasks that are claimable now and were not, as far as the spec's changes since `before` go. Only changed blocks are
 * parsed: bringing the index up to date is left to the next command, a hook must be quick.
 */
async function newlyClaimable(context: Context, before: SpecIndex): Promise<string[]> {
  const { schedule, seen } = await lookWith(context, before, await context.runtimeIfAny(), "read");
  const spec = readSpecBytes(context.spec.paths.spec, context.clock.now());
  const now = spec === undefined ? undefined : changedTasks(spec.bytes, before.hashes());
  if (now === undefined) return [];
  const outcomeOf = (id: string): Outcome => {
    if (!now.ids.has(id)) return NO_OUTCOME;
    const [changed, standing] = [now.changed.get(id), schedule.standing(id)];
    if (changed === undefined) return standing?.outcome ?? NO_OUTCOME;
    const isSame = standing !== undefined && isSameKey(keyOf(standing.task), keyOf(changed));
    return isSame ? joinOutcomes(standing.outcome, specOutcome(changed)) : specOutcome(changed);
  };
  const held = new Set(seen?.leases.map(({ task_id }) => task_id));
  const touched = new Set([...now.changed.keys()].flatMap((id) => [id, ...before.dependents(id)]));
  return [...touched].sort().filter((id) => {
    const was = schedule.standing(id);
    if (was === undefined || was.in_cycle || held.has(id) || !now.ids.has(id)) return false;
    const task = now.changed.get(id) ?? was.task;
    const isReady = statusOf(outcomeOf(id), specWord(task)) === "ready";
    return (
      isReady && schedule.obstacle(was) !== undefined && task.depends_on.every((need) => isSatisfied(outcomeOf(need)))
    );
  });
}

/** The ids in a spec, and those tasks whose blocks have another hash; `undefined` for a spec that is not in blocks. */
function changedTasks(given: Uint8Array, hashes: ReadonlyMap<string, string>) {
  const bytes = asBuffer(given);
  const ids = new Set<string>();
  const changed = new Map<string, Task>();
  for (const { id, start, end } of divide(bytes)?.blocks ?? []) {
    ids.add(id);
    const block = bytes.subarray(start, end);
    if (hashes.get(id) === (Bun.hash(block) as bigint).toString(36)) continue;
    const value = tryParse(block.toString("utf8"))?.value;
    const reading = isMapping(value) ? readTask(id, Object.values(value)[0]) : undefined;
    if (reading?.ok) changed.set(id, reading.value);
  }
  return ids.size === 0 ? undefined : { ids, changed };
}
