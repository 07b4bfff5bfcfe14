/** Campaign: `.git` files, `HEAD`, folders and links that lead elsewhere, in circles or nowhere; and pipes that nobody writes to. */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SeededRandom } from "../support/clock.ts";
import { Violation } from "./oracle.ts";
import { hostilePlace } from "./place.ts";
import { ACTING_WORDS, hostileText } from "./words.ts";

const SPEC = "project: {name: shop}\ntasks:\n  A:\n    title: one\n    status: ready\n";

const FILES = [
  ".git",
  ".git/HEAD",
  ".git/config",
  ".git/commondir",
  ".git/packed-refs",
  ".git/info",
  ".git/info/exclude",
  ".git/lodestar",
  ".git/refs",
  ".git/refs/heads/main",
  ".git/index.lock",
  ".lodestar",
  ".lodestar/spec.yaml",
  ".lodestar/.gitignore",
  ".lodestar/runtime.sqlite",
  ".lodestar/index.sqlite",
  ".gitattributes",
  "AGENTS.md",
  ".mcp.json",
  ".vscode",
] as const;

const CONTENTS = [
  "",
  "gitdir: .",
  "gitdir: ./.git",
  "gitdir: ..",
  "gitdir: /",
  "gitdir: /proc/self",
  "gitdir: ../outside",
  "gitdir: \u0000",
  "gitdir: \u001b]0;x\u0007",
  "gitdir:",
  "ref: refs/heads/../../../../etc/passwd",
  "ref: refs/heads/\u202etxt",
  `ref: refs/heads/${"x".repeat(5000)}`,
  "ref: refs/heads/$(touch CANARY)",
  "ref: \u0000",
  "0000000000000000000000000000000000000000",
  "..",
  "../..",
  ".",
  "/nowhere",
  "[core]\n\tworktree = ../../outside\n",
  "[core]\n\tbare = true\n",
  "[core]\n\tworktree = \u0000\n",
  "[core",
  "\u0000".repeat(100),
  "\ufeff",
  "{}",
  "[]",
  '{"mcpServers": []}',
  ...ACTING_WORDS,
] as const;

const CALLS = [
  ["status"],
  ["status", "--json"],
  ["task", "next"],
  ["task", "list"],
  ["doctor"],
  ["doctor", "--fix"],
  ["task", "create", "--title", "x"],
  ["agent", "join", "--id", "ALICE"],
  ["task", "claim", "A", "--agent", "ALICE"],
  ["task", "done", "A", "--agent", "ALICE"],
  ["init"],
  ["init", "--json", "--mcp"],
  ["init", "--force"],
  ["reset", "--hard", "--force"],
  ["git", "install"],
  ["git", "resolve"],
  ["events"],
  ["task", "show", "A"],
  ["agent", "whoami"],
];
/** These write beside `.lodestar/`, which is what they are for. */
const WRITES_BESIDE = (argv: readonly string[]) => ["init", "install", "--fix"].some((word) => argv.includes(word));

export async function places(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = hostilePlace(seed, SPEC);
  mkdirSync(join(here.base, "outside"));
  const done: string[] = [];
  if (random.below(3) === 0) await here.call(["agent", "join", "--id", "ALICE"]);
  for (let times = 1 + random.below(2); times > 0; times -= 1) {
    const name = random.pick(FILES);
    const path = join(here.root, name);
    if (!existsSync(dirname(path))) continue;
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // An earlier file stands where a folder was: nothing lies below it.
      continue;
    }
    const kind = random.pick([
      "text",
      "text",
      "text",
      "hostile",
      "folder",
      "fifo",
      "outside",
      "secret",
      "loop",
      "nowhere",
      "zero",
      "gone",
    ]);
    // Git itself reads these, for ever; how long we wait for Git is another matter.
    if ((kind === "fifo" || kind === "zero") && name.startsWith(".git/")) continue;
    done.push(`${name}: ${kind}`);
    try {
      if (kind === "text") writeFileSync(path, random.pick(CONTENTS));
      else if (kind === "hostile") writeFileSync(path, hostileText(random));
      else if (kind === "folder") mkdirSync(path);
      else if (kind === "fifo") Bun.spawnSync(["mkfifo", path]);
      else if (kind === "outside") symlinkSync(join(here.base, "outside"), path);
      else if (kind === "secret") symlinkSync(join(here.base, "secret"), path);
      else if (kind === "loop") symlinkSync(path, path);
      else if (kind === "nowhere") symlinkSync(join(here.base, "nowhere"), path);
      else if (kind === "zero") symlinkSync("/dev/zero", path);
    } catch {
      // An earlier link leads nowhere: nothing can be put there.
    }
  }
  // What a person has put into the Git directory leads where that person wants; what a repository brings must not lead out of it.
  const isBrought = done.every((what) => !what.startsWith(".git/"));
  here.settle();
  try {
    for (let calls = 4; calls > 0; calls -= 1) {
      const argv = random.pick(CALLS);
      await here.call(argv);
      if (isBrought) here.checkOutside(WRITES_BESIDE(argv));
      here.settle();
    }
  } catch (cause) {
    throw new Violation(`${done.join(", ")}\n${cause instanceof Error ? cause.stack : cause}`, { cause });
  }
}
