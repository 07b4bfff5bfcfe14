import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { findCycle } from "../../core/graph.ts";
import { quote } from "../../core/shell.ts";
import { isSatisfied } from "../../core/status.ts";
import { formatDuration } from "../../core/time.ts";
import { driverState } from "../../git/attributes.ts";
import { isIgnored } from "../../git/ignore.ts";
import { remoteMount } from "../../git/mount.ts";
import { isThere } from "../../git/plain-file.ts";
import { isTracked } from "../../git/tracked.ts";
import { worktreeExists } from "../../git/worktree.ts";
import type { Problem } from "../../spec/model.ts";
import type { Context } from "../context.ts";
import { type Look, look } from "../look.ts";
import { missingEdit } from "../outcome.ts";

export interface Check {
  name: string;
  status: "pass" | "warn" | "fail" | "info";
  message: string;
  fix?: string;
}

const SHOWN = 10;

/** Looks at everything; changes nothing. */
export async function examine(context: Context): Promise<Check[]> {
  const checks: Check[] = [{ name: "repository", status: "pass", message: context.place.root }];
  const seen = await examineSpec(context, checks);
  if (seen !== undefined) {
    examineDependencies(seen, checks);
    examineCycles(seen, checks);
    if (seen.index.hasPrd()) await (await import("./examine-prd.ts")).examinePrd(context, seen, checks);
  }
  const isUsable = await examineRuntime(context, checks);
  if (seen !== undefined && isUsable) await examineStep(context, seen, checks);
  examineFiles(context, checks);
  return checks;
}

async function examineSpec(context: Context, checks: Check[]): Promise<Look | undefined> {
  const { paths } = context.spec;
  try {
    // The spec alone: what is wrong with the runtime is told under its own name.
    const index = await context.spec.index("read");
    const header = index.header();
    if (header === undefined) throw new LodestarError("INTERNAL", "The index has no header after it was refreshed.");
    if (header.broken.length === 0)
      checks.push({ name: "spec", status: "pass", message: counted(index.count(), "task") });
    for (const problem of header.broken)
      checks.push({ name: "spec", status: "fail", message: at(paths.spec, problem), fix: problem.hint });
    return await lookQuietly(context, index, header);
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    const problems = (error.details.problems ?? []) as Problem[];
    if (problems.length === 0) checks.push({ name: "spec", status: "fail", message: error.message, fix: error.hint });
    for (const problem of problems.slice(0, 100))
      checks.push({ name: "spec", status: "fail", message: at(paths.spec, problem), fix: problem.hint });
    return undefined;
  }
}

async function lookQuietly(context: Context, index: Look["index"], header: Look["header"]): Promise<Look> {
  try {
    return await look(context, "read");
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    const { Schedule } = await import("../../spec/schedule.ts");
    return { index, header, schedule: new Schedule(index, []) };
  }
}

const at = (path: string, { line, column, message }: Problem): string => `${path}:${line}:${column}: ${message}`;

function examineDependencies({ index, schedule }: Look, checks: Check[]): void {
  const missing: string[] = [];
  const dead: string[] = [];
  for (const { task } of index.tasks()) {
    if (task.status === "deleted") continue;
    for (const need of task.depends_on) {
      const standing = schedule.standing(need);
      if (standing === undefined) missing.push(`${task.id} → ${need}`);
      else if (standing.status === "deleted" && !isSatisfied(standing.outcome)) dead.push(`${task.id} → ${need}`);
    }
  }
  if (missing.length > 0) {
    checks.push({
      name: "dependencies",
      status: "fail",
      message: `No such task: ${some(missing)}`,
      fix: "Create the task, or `lodestar task update ID --remove-dep MISSING`",
    });
  }
  if (dead.length > 0) {
    checks.push({
      name: "dependencies",
      status: "warn",
      message: `Waiting for a task that was deleted before it was verified: ${some(dead)}`,
      fix: "`lodestar task update ID --remove-dep DELETED`, or `lodestar task reopen DELETED`",
    });
  }
  if (missing.length + dead.length === 0)
    checks.push({ name: "dependencies", status: "pass", message: "Every dependency is there" });
}

/** Every cycle that can be told apart, each in full. */
function examineCycles({ index }: Look, checks: Check[]): void {
  const edges = new Map<string, readonly string[]>(index.edges());
  let found = 0;
  for (let cycle = findCycle(edges); cycle !== undefined && found < SHOWN; cycle = findCycle(edges)) {
    found += 1;
    checks.push({
      name: "cycles",
      status: "fail",
      message: cycle.join(" → "),
      fix: `\`lodestar task update ${quote(cycle[0] ?? "")} --remove-dep ${quote(cycle[1] ?? "")}\` breaks it`,
    });
    const [from = "", to = ""] = cycle;
    edges.set(
      from,
      (edges.get(from) ?? []).filter((need) => need !== to),
    );
  }
  if (found === 0) checks.push({ name: "cycles", status: "pass", message: "No task waits for itself" });
}

/** @returns whether the runtime can be read. */
async function examineRuntime(context: Context, checks: Check[]): Promise<boolean> {
  const path = context.runtime_path;
  if (!isThere(path)) {
    checks.push({ name: "runtime", status: "info", message: "None yet: the first command that writes makes it" });
    return false;
  }
  const remote = remoteMount(dirname(path));
  if (remote !== undefined)
    checks.push({
      name: "runtime",
      status: "fail",
      message: `${path} is on a ${remote} mount, where locks do not hold`,
      fix: "Name a local path with LODESTAR_RUNTIME",
    });
  if (isTracked(context.place, path))
    checks.push({
      name: "runtime",
      status: "fail",
      message: `${path} is tracked by Git`,
      fix: "git rm --cached .lodestar/runtime.sqlite",
    });
  try {
    const runtime = await context.runtimeIfAny();
    if (runtime === undefined) {
      checks.push({
        name: "runtime",
        status: "warn",
        message: `${path} was written by another program`,
        fix: "`lodestar doctor --fix` moves it aside",
      });
      return false;
    }
    const problems = await runtime.inspect();
    for (const problem of problems.slice(0, SHOWN))
      checks.push({
        name: "runtime",
        status: "fail",
        message: problem,
        fix: "`lodestar doctor --fix` moves the damaged file aside",
      });
    const { counts, clock_offset, schema_version } = await runtime.info();
    if (problems.length === 0) {
      checks.push({
        name: "runtime",
        status: "pass",
        message: `${counted(counts.agents, "agent")}, ${counted(counts.leases, "live lease")}, ${counted(counts.events, "event")} (schema ${schema_version})`,
      });
    }
    if (clock_offset > 0)
      checks.push({
        name: "clock",
        status: "info",
        message: `The machine's clock stepped back once; the runtime's runs ${formatDuration(clock_offset)} ahead of it`,
      });
    return problems.length === 0;
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    checks.push({ name: "runtime", status: "fail", message: error.message, fix: error.hint });
    return false;
  }
}

/** Whether both planes say the same of every task, and what waits to be written. */
async function examineStep(context: Context, { index, schedule }: Look, checks: Check[]): Promise<void> {
  const before = checks.length;
  for (const { task, status, known } of [...schedule.differing()].slice(0, SHOWN)) {
    const where = known?.branch === undefined || known.branch === "" ? "" : ` on ${known.branch}`;
    const isDue = known !== undefined && missingEdit(index, known, context.head().branch) !== undefined;
    checks.push({
      name: "planes",
      status: "warn",
      message: `${task.id}: the file says ${task.status}, the runtime says ${status}${where}`,
      fix: isDue
        ? "`lodestar doctor --fix` writes it"
        : `Merge ${known?.branch ?? "the branch"}, or send it back to work: \`lodestar task reopen ${quote(task.id)}\``,
    });
  }
  const runtime = await context.runtimeIfAny();
  for (const row of ((await runtime?.outbox()) ?? []).slice(0, SHOWN)) {
    const gone = index.task(row.task_id) === undefined && row.target_worktree === context.worktree;
    const lost = !worktreeExists(row.target_worktree) && context.place.git !== undefined;
    if (gone)
      checks.push({
        name: "outbox",
        status: "warn",
        message: `An outcome of ${row.task_id} waits, but the spec here has no such task`,
        fix: `Check out ${row.target_branch}, where it was made`,
      });
    else if (lost)
      checks.push({
        name: "outbox",
        status: "info",
        message: `An outcome of ${row.task_id} was made in a worktree that is gone (${row.target_worktree})`,
      });
    else
      checks.push({
        name: "outbox",
        status: "info",
        message: `An outcome of ${row.task_id} waits for ${row.target_worktree} on ${row.target_branch}`,
      });
  }
  if (checks.length === before)
    checks.push({ name: "planes", status: "pass", message: "The spec holds every outcome of the runtime" });
}

function examineFiles(context: Context, checks: Check[]): void {
  const { place } = context;
  if (place.git !== undefined) {
    const hasRuntime = existsSync(context.runtime_path);
    if (isIgnored(place))
      checks.push({ name: "ignores", status: "pass", message: "The databases are ignored on every branch" });
    else
      checks.push({
        name: "ignores",
        status: hasRuntime ? "warn" : "info",
        message: "This clone's info/exclude does not name the databases",
        fix: "`lodestar doctor --fix`, or any command that writes",
      });
  }
  if (place.git !== undefined) examineDriver(context, checks);
  const leftovers = temporaryFiles(dirname(context.spec.paths.spec));
  if (leftovers.length > 0)
    checks.push({
      name: "leftovers",
      status: "info",
      message: `Temporary files of killed processes: ${some(leftovers)}`,
      fix: "The next save removes them",
    });
}

/** Whether Git merges the spec by tasks. A clone without a runtime is no place where anybody merges (CI). */
function examineDriver({ place, runtime_path }: Context, checks: Check[]): void {
  const { config, attributes } = driverState(place);
  if (config && attributes) {
    checks.push({ name: "merging", status: "pass", message: "Git merges the spec by tasks" });
    return;
  }
  checks.push({
    name: "merging",
    status: existsSync(runtime_path) ? "warn" : "info",
    message: attributes
      ? "This clone's configuration does not have the merge driver: Git merges the spec as any text"
      : ".gitattributes does not name the merge driver: Git merges the spec as any text",
    fix: "`lodestar git install`, or `lodestar doctor --fix`",
  });
}

/** Temp files beside the spec. */
export function temporaryFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith(".spec.yaml.") && name.endsWith(".tmp"));
}

const some = (items: readonly string[]): string =>
  `${items.slice(0, SHOWN).join(", ")}${items.length > SHOWN ? ` and ${items.length - SHOWN} more` : ""}`;
