import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { formatDuration, MINUTE } from "../../core/time.ts";
import { isThere } from "../../git/plain-file.ts";
import type { RuntimeInfo, Runtimes, RuntimeTarget } from "../../runtime/store.ts";
import type { Context } from "../context.ts";
import { foreignTo, OWN_ID } from "../runtime/shapes.ts";
import { type Check, SHOWN } from "./examine.ts";

/** What the spec asks of every clone, whichever runtime this one uses. */
export function examineCommitted({ committed, project_id }: Runtimes, checks: Check[]): void {
  if (committed?.problem?.code === "SPEC_INVALID")
    checks.push({ name: "runtime", status: "fail", message: committed.problem.message, fix: committed.problem.hint });
  if (committed !== undefined && project_id === undefined)
    checks.push({
      name: "runtime",
      status: "fail",
      message: `The spec names the runtime ${committed.where} but no project_id, under which it would keep this project`,
      fix: "`lodestar runtime migrate` makes one and writes it into the spec",
    });
}

/** @returns whether it can be read. */
export async function examineElsewhere(context: Context, runtimes: Runtimes, checks: Check[]): Promise<boolean> {
  const { target, problem, where } = runtimes.choice;
  if (problem !== undefined || target === undefined) {
    // A clone where nobody works (CI) trusts nothing, and lacks nothing.
    const status = problem?.code === "RUNTIME_UNTRUSTED" ? "info" : "fail";
    const told = checks.some(({ message }) => message === problem?.message);
    if (problem !== undefined && !told)
      checks.push({ name: "runtime", status, message: problem.message, fix: problem.hint });
    return false;
  }
  try {
    const store = await runtimes.open(target, "read");
    if (store === undefined) return false;
    try {
      const problems = await store.inspect();
      for (const message of problems.slice(0, SHOWN)) checks.push({ name: "runtime", status: "fail", message });
      const info = await store.info();
      if (problems.length === 0)
        checks.push({ name: "runtime", status: "pass", message: `${where}: ${summary(info)}` });
      examineInfo(context, info, checks);
      await examineLeftBehind(context, runtimes, checks);
      return problems.length === 0;
    } finally {
      store.close();
    }
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    checks.push({ name: "runtime", status: "fail", message: error.message, fix: error.hint });
    return false;
  }
}

const summary = ({ counts, engine, schema_version }: RuntimeInfo): string =>
  `${counted(counts.agents, "agent")}, ${counted(counts.leases, "live lease")}, ${counted(counts.events, "event")} (${engine}, schema ${schema_version})`;

function examineInfo(context: Context, info: RuntimeInfo, checks: Check[]): void {
  examineMoved(info, checks);
  const ahead = info.now - context.clock.now();
  if (Math.abs(ahead) >= MINUTE)
    checks.push({
      name: "clock",
      status: "info",
      message: `The runtime's clock is ${formatDuration(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"} this machine's; leases go by the runtime's`,
    });
  const foreign = foreignTo(context, info.home);
  if (foreign !== undefined) checks.push({ name: "runtime", status: "warn", message: foreign, fix: OWN_ID });
}

/** A runtime that went on elsewhere. */
export function examineMoved({ moved_to }: RuntimeInfo, checks: Check[]): void {
  if (moved_to === undefined) return;
  checks.push({
    name: "runtime",
    status: "fail",
    message: `The runtime takes no more writes: it was moved to ${moved_to}`,
    fix: "Merge the branch whose spec names it, or set LODESTAR_RUNTIME",
  });
}

/** The file that was used before: where a branch does not name the database yet, work would go on in it, unseen. */
async function examineLeftBehind(context: Context, runtimes: Runtimes, checks: Check[]): Promise<void> {
  const path = context.runtime_path;
  const file: RuntimeTarget = { kind: "sqlite", path };
  if (runtimes.choice.by !== "conventions.runtime" || !isThere(path)) return;
  const store = await runtimes.open(file, "read").catch((error: unknown) => {
    // What is there is no runtime: nobody works in it.
    if (error instanceof LodestarError) return undefined;
    throw error;
  });
  const info = await store?.info();
  store?.close();
  if (info === undefined || info.moved_to !== undefined || info.counts.events === 0) return;
  checks.push({
    name: "runtime",
    status: "warn",
    message: `${path} is still open for writing: worktrees whose branch names no database work there, unseen by the others`,
    fix: "If it holds nothing that matters, remove it; `lodestar runtime copy` moves it into a database that is empty",
  });
}
