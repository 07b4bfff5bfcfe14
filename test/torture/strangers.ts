/** Those who change the spec and take no lock of ours: people with editors, and Git. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Arena, BRANCHES, type Worktree } from "./arena.ts";
import { factsOf, lostBetween } from "./facts.ts";
import type { Fact, Foreign } from "./history.ts";

/** Goes on in one worktree until the time is over. */
export async function person(arena: Arena, worktree: Worktree): Promise<void> {
  const { random } = arena;
  while (Date.now() < arena.until) {
    await Bun.sleep(100 + random.below(900));
    const dice = random.below(20);
    if (dice < 6) await edit(arena, worktree);
    else if (dice < 8) discard(arena, worktree, (await arena.git(worktree, "show", "HEAD:.lodestar/spec.yaml")).out);
    else if (dice < 9) deleteIndex(arena, worktree);
    else if (dice < 13) await commit(arena, worktree);
    else if (dice < 16) await checkOut(arena, worktree);
    else await merge(arena, worktree);
  }
}

// --- Editors ---

/** Opens, thinks, saves: what was saved meanwhile is written over, and named exactly. */
async function edit(arena: Arena, worktree: Worktree): Promise<void> {
  const { random, counts } = arena;
  const from = Date.now();
  const base = read(worktree);
  if (base === undefined) return;
  const [text, added] = changed(arena, base);
  if (random.below(2) === 0) await Bun.sleep(random.below(60));
  const inPlace = random.below(2) === 0;
  counts[inPlace ? "edits_in_place" : "edits"] += 1;
  const overwrote = (inPlace ? writeInPlace : exchange)(worktree, text);
  note(arena, worktree, inPlace ? "edit in place" : "edit", from, lostBetween(overwrote, text), added);
}

/** Somebody throws away what is not committed. */
function discard(arena: Arena, worktree: Worktree, text: string): void {
  if (!isWhole(text)) return;
  arena.counts.discards += 1;
  const from = Date.now();
  note(arena, worktree, "discard", from, lostBetween(exchange(worktree, text), text), []);
}

/** A label by hand, a comment, or a task by hand. */
function changed(arena: Arena, text: string): readonly [string, readonly Fact[]] {
  const n = arena.serial();
  const dice = arena.random.below(4);
  if (dice === 0) return [`${text}# by hand ${n}\n`, []];
  if (dice === 1) return [text.replace(/^tasks:\n/m, `# planned by hand ${n}\ntasks:\n`), []];
  const id = `H${String(n).padStart(5, "0")}`;
  const task = `  ${id}:\n    title: By hand\n    status: ready\n    created_at: ${new Date().toISOString()}\n`;
  const after = text.replace(/^tasks:\n/m, `tasks:\n${task}`);
  if (after === text) return [text, []];
  arena.tasks.push(id);
  return [after, [id]];
}

const libc = dlopen(`libc.so.6`, {
  renameat2: {
    args: [FFIType.i32, FFIType.cstring, FFIType.i32, FFIType.cstring, FFIType.u32],
    returns: FFIType.i32,
  },
});
const HERE = -100;
const EXCHANGE = 2;

/** Temp file and rename, as most editors save; exchanged, so that what was replaced at that very instant is still there. */
function exchange({ spec }: Worktree, text: string): string {
  const temp = join(dirname(spec), "spec.yaml~");
  writeFileSync(temp, text);
  const [a, b] = [Buffer.from(`${temp}\0`), Buffer.from(`${spec}\0`)];
  if (libc.symbols.renameat2(HERE, ptr(a), HERE, ptr(b), EXCHANGE) !== 0) {
    // Git has just taken it away.
    unlinkSync(temp);
    return text;
  }
  const replaced = readFileSync(temp, "utf8");
  unlinkSync(temp);
  return replaced;
}

/** Emptied and written, as other editors save. What is written over is what this very file held. */
function writeInPlace({ spec }: Worktree, text: string): string {
  let handle: number;
  try {
    handle = openSync(spec, "r+");
  } catch {
    // Git has just taken it away.
    return text;
  }
  try {
    const before = readFileSync(handle, "utf8");
    ftruncateSync(handle);
    writeSync(handle, text, 0);
    return before;
  } finally {
    closeSync(handle);
  }
}

function deleteIndex(arena: Arena, worktree: Worktree): void {
  arena.counts.indexes_deleted += 1;
  for (const part of ["", "-wal", "-shm"])
    rmSync(join(worktree.root, ".lodestar", `index.sqlite${part}`), { force: true });
  note(arena, worktree, "index deleted", Date.now(), [], []);
}

// --- Git ---

async function commit(arena: Arena, worktree: Worktree): Promise<void> {
  const from = Date.now();
  arena.counts.commits += 1;
  const { exit, out } = await arena.git(worktree, "commit", "-q", "-a", "-m", "Work");
  note(arena, worktree, "commit", from, [], [], exit === 0 || out.includes("nothing to commit") ? undefined : out);
}

async function checkOut(arena: Arena, worktree: Worktree): Promise<void> {
  await commit(arena, worktree);
  arena.counts.checkouts += 1;
  const branch = arena.random.pick(BRANCHES);
  // Refused where another worktree is on it, or where a save came after the commit.
  await alone(arena, worktree, "checkout", () => arena.git(worktree, "checkout", "-q", branch));
}

async function merge(arena: Arena, worktree: Worktree): Promise<void> {
  await commit(arena, worktree);
  const byText = arena.random.below(6) === 0;
  arena.counts[byText ? "merges_by_text" : "merges"] += 1;
  const branch = arena.random.pick(BRANCHES);
  await alone(arena, worktree, byText ? "merge by text" : "merge", async () => {
    const git = byText ? arena.gitWithoutUs : arena.git;
    const merged = await git(worktree, "merge", "-q", "--no-edit", branch);
    if (merged.exit !== 0) await settle(arena, worktree);
    return merged;
  });
}

/** Decides a merge that stopped: by `git resolve`, else it is given up. */
export async function settle(arena: Arena, worktree: Worktree): Promise<void> {
  const { out } = await arena.git(worktree, "ls-files", "--unmerged");
  if (out === "") return;
  const take = arena.random.below(2) === 0 ? "ours" : "theirs";
  const resolved = await arena.here.run(["git", "resolve", "--take", take], {
    ...{ cwd: worktree.root, program: arena.lodestar, env: arena.environment() },
  });
  if (resolved.exit === 0) {
    await arena.git(worktree, "add", ".lodestar/spec.yaml");
    if ((await arena.git(worktree, "commit", "-q", "--no-edit")).exit === 0) return;
  }
  await arena.git(worktree, "merge", "--abort");
}

/**
 * Lets Git replace files while nobody stands between a last look and the rename that follows it: that window is open to Git by
 * S3, and it is tiny only as long as nobody holds it open.
 */
async function alone(
  arena: Arena,
  worktree: Worktree,
  what: "checkout" | "merge" | "merge by text",
  act: () => Promise<{ readonly exit: number; readonly out: string }>,
): Promise<void> {
  while (worktree.standing > 0 && isSaving(worktree)) await Bun.sleep(20);
  worktree.gitIsAtIt = true;
  const from = Date.now();
  const { exit, out } = await act();
  worktree.gitIsAtIt = false;
  // What Git has just written and a save, begun before, has replaced.
  const head = await arena.git(worktree, "show", "HEAD:.lodestar/spec.yaml");
  const text = read(worktree);
  const overwrote = exit === 0 && text !== undefined && isWhole(head.out) ? lostBetween(head.out, text) : [];
  note(arena, worktree, what, from, overwrote, [], exit === 0 ? undefined : out.slice(0, 500));
}

/** A save is under way, or was when its process died. */
export const isSaving = ({ spec }: Worktree): boolean =>
  readdirSync(dirname(spec)).some((name) => name.endsWith(".tmp"));

// --- Both ---

function read({ spec }: Worktree): string | undefined {
  if (!existsSync(spec)) return undefined;
  const text = readFileSync(spec, "utf8");
  return isWhole(text) ? text : undefined;
}

/** Not half of a file that Git is writing, and without conflict markers. */
function isWhole(text: string): boolean {
  try {
    return factsOf(text).size > 0;
  } catch {
    return false;
  }
}

function note(
  arena: Arena,
  worktree: Worktree,
  what: Foreign["what"],
  from: number,
  overwrote: readonly Fact[],
  added: readonly Fact[],
  failed?: string,
): void {
  arena.history.add({
    ...{ kind: "foreign", from, at: Date.now(), worktree: worktree.name, what, overwrote, added },
    ...(failed === undefined ? {} : { failed }),
  });
}
