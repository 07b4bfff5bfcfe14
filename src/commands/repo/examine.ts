import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { findCycle } from "../../core/graph.ts";
import { quote } from "../../core/shell.ts";
import { isSatisfied } from "../../core/status.ts";
import { formatDuration, formatInstant, MINUTE } from "../../core/time.ts";
import { driverState, overridingAttributes } from "../../git/attributes.ts";
import { HOOKS, hooksFolder, hooksState } from "../../git/hooks.ts";
import { isIgnored, unignored } from "../../git/ignore.ts";
import { remoteMount } from "../../git/mount.ts";
import { isPlain, isThere, lookAt } from "../../git/plain-file.ts";
import { isTracked, trackedFiles } from "../../git/tracked.ts";
import { branchExists, worktreeExists } from "../../git/worktree.ts";
import { leftovers } from "../../spec/file.ts";
import { SpecIndex } from "../../spec/index.ts";
import { readSpecBytes } from "../../spec/key.ts";
import { type LockDamage, lockDamage } from "../../spec/lock.ts";
import type { Problem } from "../../spec/model.ts";
import { Places } from "../../spec/places.ts";
import type { Context } from "../context.ts";
import { type Look, look } from "../look.ts";
import { isHeld, missingEdit } from "../outcome.ts";

export interface Check {
  name: string;
  status: "pass" | "warn" | "fail" | "info";
  message: string;
  fix?: string;
  /** From the worktree's root, with slashes; absolute when it lies elsewhere. */
  file?: string;
  line?: number;
  column?: number;
}

export const SHOWN = 10;

/** Where in the spec a task, or a value in it, stands. */
type Where = (task_id: string, ...path: (string | number)[]) => Pick<Check, "file" | "line" | "column">;

/** Looks at everything; changes nothing. */
export async function examine(context: Context): Promise<Check[]> {
  const checks: Check[] = [{ name: "repository", status: "pass", message: context.place.root }];
  const seen = await examineSpec(context, checks);
  const where = whereIn(context);
  if (seen !== undefined) {
    examineDependencies(seen, where, checks);
    examineCycles(seen, where, checks);
    if (seen.index.hasPrd()) await (await import("./examine-prd.ts")).examinePrd(context, seen, checks);
  }
  const isUsable = await examineChosen(context, checks);
  if (seen !== undefined && isUsable) await examineStep(context, seen, where, checks);
  examineFiles(context, checks);
  return checks;
}

/** The file is read for the first place that is asked for. */
function whereIn({ spec: { paths }, place, clock }: Context): Where {
  let places: Places | undefined;
  const file = fileName(place.worktree, paths.spec);
  return (task_id, ...path) => {
    places ??= new Places(readSpecBytes(paths.spec, clock.now())?.bytes ?? Buffer.alloc(0));
    return { file, ...places.find(task_id, ...path) };
  };
}

/** A file as CI names it. */
export function fileName(worktree: string, path: string): string {
  const inside = relative(worktree, path);
  const name = isAbsolute(inside) || inside.split(sep)[0] === ".." ? path : inside;
  return name.split(sep).join("/");
}

async function examineSpec(context: Context, checks: Check[]): Promise<Look | undefined> {
  const file = fileName(context.place.worktree, context.spec.paths.spec);
  const found = ({ line, column, message, hint }: Problem): Check => ({
    name: "spec",
    status: "fail",
    message,
    fix: hint,
    file,
    line,
    column,
  });
  try {
    // The spec alone: what is wrong with the runtime is told under its own name.
    const index = await context.spec.index("read");
    const header = index.header();
    if (header === undefined) throw new LodestarError("INTERNAL", "The index has no header after it was refreshed.");
    if (header.broken.length === 0)
      checks.push({ name: "spec", status: "pass", message: counted(index.count(), "task") });
    checks.push(...header.broken.map(found));
    return await lookQuietly(context, index, header);
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    const problems = (error.details.problems ?? []) as Problem[];
    if (problems.length === 0)
      checks.push({ name: "spec", status: "fail", message: error.message, fix: error.hint, file });
    checks.push(...problems.slice(0, 100).map(found));
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

function examineDependencies({ index, schedule }: Look, where: Where, checks: Check[]): void {
  const missing: Edge[] = [];
  const dead: Edge[] = [];
  for (const { task } of index.tasks()) {
    if (task.status === "deleted") continue;
    for (const [nth, need] of task.depends_on.entries()) {
      const standing = schedule.standing(need);
      if (standing === undefined) missing.push({ id: task.id, need, nth });
      else if (standing.status === "deleted" && !isSatisfied(standing.outcome)) dead.push({ id: task.id, need, nth });
    }
  }
  for (const edge of missing.slice(0, SHOWN))
    checks.push({
      name: "dependencies",
      status: "fail",
      message: `No such task: ${arrow(edge)}`,
      fix: `${without(edge)}; or create the task`,
      ...where(edge.id, "depends_on", edge.nth),
    });
  for (const edge of dead.slice(0, SHOWN))
    checks.push({
      name: "dependencies",
      status: "warn",
      message: `Waiting for a task that was deleted before it was verified: ${arrow(edge)}`,
      fix: `${without(edge)}; or bring it back: \`lodestar task reopen ${quote(edge.need)}\``,
      ...where(edge.id, "depends_on", edge.nth),
    });
  more("dependencies", "fail", missing.length, checks);
  more("dependencies", "warn", dead.length, checks);
  if (missing.length + dead.length === 0)
    checks.push({ name: "dependencies", status: "pass", message: "Every dependency is there" });
}

/** What is found and not listed is counted. */
export function more(name: string, status: Check["status"], found: number, checks: Check[]): void {
  if (found > SHOWN) checks.push({ name, status, message: `and ${found - SHOWN} more of this kind` });
}

/** A task and one that it waits for, the nth in its list. */
interface Edge {
  readonly id: string;
  readonly need: string;
  readonly nth: number;
}

const arrow = ({ id, need }: Edge): string => `${id} → ${need}`;
const without = ({ id, need }: Edge): string => `\`lodestar task update ${quote(id)} --remove-dep ${quote(need)}\``;

/** Every cycle that can be told apart, each in full. */
function examineCycles({ index }: Look, where: Where, checks: Check[]): void {
  const edges = new Map<string, readonly string[]>(index.edges());
  let found = 0;
  for (let cycle = findCycle(edges); cycle !== undefined && found < SHOWN; cycle = findCycle(edges)) {
    found += 1;
    const [from = "", to = ""] = cycle;
    const nth = index.task(from)?.task.depends_on.indexOf(to) ?? 0;
    checks.push({
      name: "cycles",
      status: "fail",
      message: cycle.join(" → "),
      fix: `${without({ id: from, need: to, nth })} breaks it`,
      ...where(from, "depends_on", nth),
    });
    edges.set(
      from,
      (edges.get(from) ?? []).filter((need) => need !== to),
    );
  }
  if (found === 0) checks.push({ name: "cycles", status: "pass", message: "No task waits for itself" });
}

/** @returns whether the runtime that was chosen can be read. */
async function examineChosen(context: Context, checks: Check[]): Promise<boolean> {
  try {
    const { examineCommitted, examineElsewhere } = await import("./examine-runtime.ts");
    examineCommitted(await context.runtimes(), checks);
    const elsewhere = await context.elsewhere();
    return await (elsewhere === undefined
      ? examineRuntime(context, checks)
      : examineElsewhere(context, elsewhere, checks));
  } catch (error) {
    // Without a spec that can be read it is not known which runtime counts; that was told.
    if (!(error instanceof LodestarError)) throw error;
    return false;
  }
}

/** @returns whether the runtime's file can be read. */
async function examineRuntime(context: Context, checks: Check[]): Promise<boolean> {
  const path = context.runtime_path;
  if (!isThere(path)) {
    checks.push({ name: "runtime", status: "info", message: "None yet: the first command that writes makes it" });
    return false;
  }
  if (lookAt(path)?.isSymbolicLink()) {
    checks.push({
      name: "runtime",
      status: "fail",
      message: `${path} is a symbolic link, which is not followed`,
      fix: "`lodestar doctor --fix` moves it aside; name another place with LODESTAR_RUNTIME",
    });
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
  if (isTracked(context.place, path) && dirname(path) !== join(context.place.root, ".lodestar"))
    checks.push({
      name: "runtime",
      status: "fail",
      message: `${path} is tracked by Git`,
      fix: `In ${dirname(path)}: \`git rm --cached runtime.sqlite\`, then commit`,
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
    const info = await runtime.info();
    const { counts, clock_offset, schema_version } = info;
    if (problems.length === 0) {
      checks.push({
        name: "runtime",
        status: "pass",
        message: `${counted(counts.agents, "agent")}, ${counted(counts.leases, "live lease")}, ${counted(counts.events, "event")} (schema ${schema_version})`,
      });
    }
    (await import("./examine-runtime.ts")).examineMoved(info, checks);
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
async function examineStep(context: Context, { index, schedule }: Look, where: Where, checks: Check[]): Promise<void> {
  const before = checks.length;
  for (const { task, status, known } of [...schedule.differing()].slice(0, SHOWN)) {
    const on = known?.branch === undefined || known.branch === "" ? "" : ` on ${known.branch}`;
    const isDue = known !== undefined && missingEdit(index, known, context.branch()) !== undefined;
    checks.push({
      name: "planes",
      status: "warn",
      message: `${task.id}: the file says ${task.status}, the runtime says ${status}${on}`,
      fix: isDue
        ? "`lodestar doctor --fix` writes it"
        : `Merge ${known?.branch ?? "the branch"}, or send it back to work: \`lodestar task reopen ${quote(task.id)}\``,
      ...where(task.id, "status"),
    });
  }
  const runtime = await context.runtimeIfAny();
  await examineLeases(await runtime?.agents(), schedule, checks);
  for (const row of ((await runtime?.outbox()) ?? []).slice(0, SHOWN)) {
    const gone = index.task(row.task_id) === undefined && row.target_worktree === context.worktree;
    const stray = !branchExists(context.place, row.target_branch);
    const lost = !worktreeExists(row.target_worktree) && context.place.git !== undefined;
    if (gone)
      checks.push({
        name: "outbox",
        status: "warn",
        message: `An outcome of ${row.task_id} waits, but the spec here has no such task`,
        fix: `Check out ${row.target_branch}, where it was made`,
      });
    else if (stray)
      checks.push({
        name: "outbox",
        status: "warn",
        message: `An outcome of ${row.task_id} waits for the branch ${row.target_branch}, which is gone`,
        fix: isHeld(index, row)
          ? "`lodestar doctor --fix` forgets it: the spec here has it already"
          : `Merge the work from where it is, or send it back: \`lodestar task reopen ${quote(row.task_id)}\``,
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

/** Leases that protect nothing: their tasks were deleted on a way that did not end them, such as a merge. */
async function examineLeases(
  seen: { readonly leases: readonly { task_id: string; agent_id: string; expires_at: number }[] } | undefined,
  schedule: Look["schedule"],
  checks: Check[],
): Promise<void> {
  for (const { task_id, agent_id, expires_at } of (seen?.leases ?? []).slice(0, SHOWN)) {
    const standing = schedule.standing(task_id);
    const until = `held by ${agent_id} until ${formatInstant(expires_at)}`;
    if (standing?.status === "deleted")
      checks.push({
        name: "leases",
        status: "warn",
        message: `${task_id} is deleted and ${until}`,
        fix: `\`lodestar task release ${quote(task_id)} --force\`, or \`lodestar task reopen ${quote(task_id)}\` if the work counts`,
      });
    else if (standing === undefined)
      checks.push({ name: "leases", status: "info", message: `${task_id} is not in the spec here and ${until}` });
  }
}

function examineFiles(context: Context, checks: Check[]): void {
  const { place } = context;
  if (place.git !== undefined) {
    examineIgnores(context, checks);
    examineTracked(context, checks);
    examineDriver(context, checks);
    examineHooks(context, checks);
  }
  examineIndex(context, checks);
  const { lock } = context.spec.paths;
  const damage = lockDamage(lock);
  if (damage !== undefined) checks.push({ name: "lock", ...LOCK_DAMAGES[damage](lock) });
  const temps = temporaryFiles(context).map((path) => relative(dirname(context.spec.paths.spec), path));
  if (temps.length > 0)
    checks.push({
      name: "leftovers",
      status: "info",
      message: `Temporary files of killed processes: ${some(temps)}`,
      fix: "`lodestar doctor --fix`, or the next save, removes them",
    });
}

const LOCK_DAMAGES: Record<LockDamage, (lock: string) => Omit<Check, "name">> = {
  "not empty": (lock) => ({
    status: "warn",
    message: `${lock} is not the empty file that it should be: another program writes to it`,
    fix: "`lodestar doctor --fix`, or the next save, empties it",
  }),
  "no file": (lock) => ({
    status: "fail",
    message: `${lock} is no file that could be locked, and nothing can be saved`,
    fix: "Remove what is there; the next save makes the lock anew",
  }),
};

function examineIgnores({ place, runtime_path }: Context, checks: Check[]): void {
  const own = join(place.root, ".lodestar", ".gitignore");
  if (isThere(own) && !isPlain(own)) {
    checks.push({
      name: "ignores",
      status: "warn",
      message: ".lodestar/.gitignore is no plain file, and Git reads no other",
      fix: "Remove it, then `lodestar doctor --fix`",
    });
    return;
  }
  if (!isIgnored(place) || !isThere(own)) {
    checks.push({
      name: "ignores",
      status: existsSync(runtime_path) ? "warn" : "info",
      message: isThere(own)
        ? "This clone's info/exclude does not name the databases"
        : "There is no .lodestar/.gitignore, which travels with the repository",
      fix: "`lodestar doctor --fix`, or any command that writes",
    });
    return;
  }
  const open = unignored(place);
  if (open === undefined) {
    checks.push({
      name: "ignores",
      status: "info",
      message: "Git could not be asked whether it ignores the databases",
      fix: "Look with `git status`",
    });
    return;
  }
  for (const { path, rule } of open)
    checks.push({
      name: "ignores",
      status: "warn",
      message: rule === undefined ? `Git would commit ${path}` : `Git would commit ${path}, because of ${rule}`,
      fix: rule === undefined ? "`lodestar init`" : "Remove that line",
    });
  if (open.length === 0)
    checks.push({ name: "ignores", status: "pass", message: "The databases are ignored on every branch" });
}

function examineTracked({ place }: Context, checks: Check[]): void {
  const tracked = trackedFiles(place);
  if (tracked.length === 0) return;
  checks.push({
    name: "runtime",
    status: "fail",
    message: `Tracked by Git: ${some(tracked)}`,
    fix: `In ${place.root}: \`git rm --cached -f ${tracked.map(quote).join(" ")}\`, then commit`,
  });
}

function examineHooks({ place }: Context, checks: Check[]): void {
  const folder = hooksFolder(place);
  if (folder === undefined) return;
  const { wanted, broken, replaced } = hooksState(folder);
  if (!wanted) return;
  if (broken.length > 0)
    checks.push({
      name: "hooks",
      status: "warn",
      message: `Missing or changed since \`lodestar git install --hooks\`: ${broken.join(", ")}`,
      fix: "`lodestar doctor --fix` installs them again and keeps what was changed; `lodestar git uninstall` takes all out",
    });
  for (const hook of replaced)
    checks.push({
      name: "hooks",
      status: "warn",
      message: `${join(folder, hook)} was replaced after Lodestar's hook was installed, and ${hook}.before-lodestar is still there`,
      fix: `Bring both into one file: \`mv ${hook} ${hook}.before-lodestar\` in ${folder} once it has all, then \`lodestar git install --hooks\``,
    });
  if (broken.length + replaced.length === 0)
    checks.push({ name: "hooks", status: "pass", message: `${HOOKS.length} hooks are in place` });
}

function examineIndex({ spec, place }: Context, checks: Check[]): void {
  const { index } = spec.paths;
  const known = lookAt(index);
  // An empty one is one that nobody has used yet.
  if (known === undefined || (known.isFile() && known.size === 0)) return;
  const opened = SpecIndex.open(index, false);
  opened?.close();
  if (opened !== undefined) return;
  checks.push({
    name: "index",
    status: "warn",
    message: `${relative(place.root, index)} cannot be used: every call reads the whole spec`,
    fix: known.isDirectory()
      ? "Move that folder away: it is none of Lodestar's"
      : "`lodestar doctor --fix` moves it aside; it is made anew by itself",
  });
}

/** Whether Git merges the spec by tasks. A clone without a runtime is no place where anybody merges (CI). */
function examineDriver({ place, runtime_path }: Context, checks: Check[]): void {
  const { config, attributes } = driverState(place);
  if (config && attributes) {
    checks.push({ name: "merging", status: "pass", message: "Git merges the spec by tasks" });
    return;
  }
  const own = join(place.root, ".gitattributes");
  if (isThere(own) && !isPlain(own)) {
    checks.push({
      name: "merging",
      status: existsSync(runtime_path) ? "warn" : "info",
      message: ".gitattributes is no plain file, and Git reads no other: it merges the spec as any text",
      fix: "Remove it, then `lodestar doctor --fix`",
    });
    return;
  }
  const overriding = attributes ? [] : overridingAttributes(place);
  checks.push({
    name: "merging",
    status: existsSync(runtime_path) ? "warn" : "info",
    message: attributes
      ? "This clone's configuration does not have the merge driver: Git merges the spec as any text"
      : overriding.length > 0
        ? "Other attributes take the place of the merge driver's: Git merges the spec as any text"
        : ".gitattributes does not name the merge driver: Git merges the spec as any text",
    fix:
      overriding.length > 0
        ? `Remove the line on \`merge\` from ${overriding.join(" and ")}`
        : "`lodestar git install`, or `lodestar doctor --fix`",
  });
}

/** A file is written in less; one that is older was left by a process that died. */
const WRITING = 10 * MINUTE;

/** Temp files that processes left which died while they wrote: saves of the spec, wherever its link leads, and files of ours. */
export function temporaryFiles({ spec, clock }: Context): string[] {
  const folder = dirname(spec.paths.spec);
  const real = existsSync(spec.paths.spec) ? realpathSync(spec.paths.spec) : spec.paths.spec;
  const isOld = (path: string) =>
    clock.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? clock.now()) > WRITING;
  const others = readdirSync(folder).filter((entry) => entry.startsWith(".new-") && entry.endsWith(".tmp"));
  return [...leftovers(real), ...others.map((entry) => join(folder, entry)).filter(isOld)];
}

const some = (items: readonly string[]): string =>
  `${items.slice(0, SHOWN).join(", ")}${items.length > SHOWN ? ` and ${items.length - SHOWN} more` : ""}`;
