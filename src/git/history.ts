/** Older versions of one file, as Git keeps them. */

/** A version of a file. */
export interface Version {
  /** The commit that brought it. */
  readonly commit: string;
  readonly bytes: Uint8Array;
}

/** How many versions are looked at, and how many bytes of them; how long Git may take for each step. */
const MOST_VERSIONS = 400;
const MOST_BYTES = 64 * 1024 * 1024;
const BATCH = 20;
const PATIENCE = 5000;

/**
 * The versions of a file in any branch, the newest first, each once; none outside Git. Bounded in number, size and time: a caller that
 * does not find what it looks for has to live without it.
 */
export function* versionsOf(worktree: string, path: string): Generator<Version> {
  const log = run(worktree, [
    "--literal-pathspecs",
    "log",
    "--all",
    `-n${MOST_VERSIONS}`,
    "--no-abbrev",
    "--no-renames",
    "-m",
    "--raw",
    "--format=%H",
    "--",
    path,
  ]);
  if (log === undefined) return;
  const blobs = new Map<string, string>();
  let commit = "";
  for (const line of log.toString().split("\n")) {
    const [, blob] = /^:\d+ \d+ [0-9a-f]+ ([0-9a-f]+) [AMT]/.exec(line) ?? [];
    if (/^[0-9a-f]{40,64}$/.test(line)) commit = line;
    else if (blob !== undefined && !blobs.has(blob)) blobs.set(blob, commit);
  }
  const all = [...blobs];
  let left = MOST_BYTES;
  for (let from = 0; from < all.length && left > 0; from += BATCH) {
    const batch = all.slice(from, from + BATCH);
    const out = run(worktree, ["cat-file", "--batch"], batch.map(([blob]) => `${blob}\n`).join(""));
    if (out === undefined) return;
    let at = 0;
    for (const [, from_commit] of batch) {
      const end = out.indexOf(10, at);
      const [, size] = /^[0-9a-f]+ blob (\d+)$/.exec(out.subarray(at, end).toString()) ?? [];
      at = end + 1;
      // A partial clone may lack some.
      if (size === undefined) continue;
      yield { commit: from_commit, bytes: out.subarray(at, at + Number(size)) };
      at += Number(size) + 1;
      left -= Number(size);
    }
  }
}

function run(cwd: string, args: readonly string[], input = ""): Buffer | undefined {
  try {
    const ran = Bun.spawnSync(["git", ...args], {
      cwd,
      stdin: Buffer.from(input),
      stdout: "pipe",
      stderr: "ignore",
      timeout: PATIENCE,
    });
    return ran.exitCode === 0 ? ran.stdout : undefined;
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    throw cause;
  }
}
