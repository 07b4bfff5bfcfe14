/** A save beside a real Git that is at work in the same worktree, held where it holds no lock of ours. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, LODESTAR, leftovers, stoppedAt, until } from "../support/fleet.ts";

const LONG = 120_000;

/**
 * A Git whose own calls of Git, and whose filter `slow`, can be held: `at` such as "before read-tree" or "after stash create". While it
 * is held its folder changes now and then, as by a Git that does something.
 */
function heldGit(here: Fleet) {
  const folder = join(here.base, "held");
  const core = here.git("--exec-path").trim();
  const wrapper = `#!/bin/sh
hold() {
  : > ${folder}/here
  while [ ! -e ${folder}/go ]; do : > ${here.path}/.git/sign; rm -f ${here.path}/.git/sign; sleep 0.02; done
}
case "before $*" in "$HOLD"*) hold ;; esac
if [ "$1" = smudge ]; then exec cat; fi
${core}/git "$@"
status=$?
case "after $*" in "$HOLD"*) hold ;; esac
exit $status
`;
  mkdirSync(join(folder, "core"), { recursive: true });
  for (const name of readdirSync(core)) if (name !== "git") symlinkSync(join(core, name), join(folder, "core", name));
  writeFileSync(join(folder, "core", "git"), wrapper);
  chmodSync(join(folder, "core", "git"), 0o755);
  here.git("config", "filter.slow.smudge", `${folder}/core/git smudge`);
  here.git("config", "filter.slow.clean", "cat");
  return async (at: string, ...args: readonly string[]) => {
    const child = Bun.spawn(["git", ...args], {
      cwd: here.path,
      env: here.environment({ GIT_EXEC_PATH: join(folder, "core"), GIT_EDITOR: "true", HOLD: at }),
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    await until(`git ${args.join(" ")} is held ${at}`, () => {
      if (child.exitCode !== null) throw new Error(`git ${args.join(" ")} was never held ${at}`);
      return existsSync(join(folder, "here"));
    });
    return async () => {
      writeFileSync(join(folder, "go"), "");
      const said = await new Response(child.stderr).text();
      return { exit: await child.exited, said };
    };
  };
}

/** `main` and `feat` have both gone on since they parted, in the spec and in a file that Git writes before it. */
async function parted(here: Fleet): Promise<void> {
  here.git("config", "filter.slow.smudge", "cat");
  here.git("config", "filter.slow.clean", "cat");
  writeFileSync(join(here.path, ".gitattributes"), ".first filter=slow\n");
  writeFileSync(join(here.path, ".first"), "1\n");
  here.tasks(["A", "M"]);
  here.commit();
  here.git("checkout", "-q", "-b", "feat");
  writeFileSync(join(here.path, ".first"), "2\n");
  await here.ok("task update A --add-label feat");
  here.commit();
  here.git("checkout", "-q", "main");
  await here.ok("task update M --add-label main");
  here.commit();
}

const labels = (here: Fleet): readonly string[] =>
  Object.values(here.file()).flatMap(({ labels: all }) => (all ?? []) as string[]);

/** Ways to plan one thing more, and whether it is in the file. */
const PLANS = {
  create: { line: "task create --id NEW --title N", isThere: (here: Fleet) => here.file().NEW !== undefined },
  update: { line: "task update A --add-label new", isThere: (here: Fleet) => labels(here).includes("new") },
  import: {
    line: "task import new.yaml",
    isThere: (here: Fleet) => here.file().N1 !== undefined && here.file().N2 !== undefined,
  },
} as const;

const KINDS = ["create", "update", "import"] as const;
const IMPORTED = "tasks:\n  N1: {title: One}\n  N2: {title: Two}\n";

const isLinux = process.platform === "linux";

for (const [at, git, kind, kept] of [
  ["after stash create", ["merge", "-q", "feat"], "create", true],
  ["before read-tree", ["merge", "-q", "feat"], "update", true],
  ["before stash apply", ["merge", "-q", "feat"], "import", true],
  ["before reset", ["stash", "-q"], "create", false],
] as const)
  test.if(isLinux)(
    `S3: what is planned while git ${git[0]} stands ${at} stays, and so does what was not committed`,
    async () => {
      const { line, isThere } = PLANS[kind];
      using here = await fleet();
      await parted(here);
      writeFileSync(join(here.path, "new.yaml"), IMPORTED);
      await here.ok("task create --id DIRTY --title NotCommitted");
      const goOn = await heldGit(here)(at, ...git);
      const planning = here.ok(line);
      await until("the save waits with its temp file", () => leftovers(here.path).length === 1);
      // Long enough for a save that does not wait; one that does may be as late as it likes.
      await Bun.sleep(500);
      const { exit, said } = await goOn();
      await planning;
      expect({ exit, refused: said.includes("local changes") }).toEqual({ exit: kept ? 2 : 0, refused: kept });
      expect(Object.keys(here.file()).includes("DIRTY")).toBe(kept);
      expect(isThere(here)).toBe(true);
      expect(leftovers(here.path)).toEqual([]);
    },
    LONG,
  );

for (const [kinds, git] of [
  [KINDS, ["checkout", "-q", "feat"]],
  [["update"], ["merge", "-q", "--no-edit", "feat"]],
  [["import"], ["reset", "-q", "--hard", "feat"]],
] as const)
  test.if(isLinux)(
    `S3: what is renamed into place after git ${git[0]} has decided to write there is saved again when it has`,
    async () => {
      for (const kind of kinds) {
        const { line, isThere } = PLANS[kind];
        using here = await fleet();
        await parted(here);
        writeFileSync(join(here.path, "new.yaml"), IMPORTED);
        const saving = await stoppedAt(here, "before-rename", line);
        const goOn = await heldGit(here)("before smudge", ...git);
        const before = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
        const answered = saving.goOn();
        await until("the save has renamed", () => isThere(here));
        expect(readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8")).not.toBe(before);
        expect((await goOn()).exit).toBe(0);
        expect((await answered).ok).toBe(true);
        expect(labels(here)).toContain("feat");
        expect(isThere(here)).toBe(true);
        expect(leftovers(here.path)).toEqual([]);
        expect((await here.ok("doctor")).healthy).toBe(true);
      }
    },
    LONG,
  );

test.if(isLinux)(
  "S3: what is planned between a fast-forward's look at the file and its lock is not written over",
  async () => {
    using here = await fleet();
    await parted(here);
    here.git("checkout", "-q", "-b", "behind", "feat~");
    const [lock, began] = [join(here.path, ".git/index.lock"), join(here.path, ".git/ORIG_HEAD")];
    // Between the two Git calls nothing that could hold it: its calls of the system are held.
    const held = ["strace", "-f", "-o", "/dev/null", "-P", lock, "-e", "inject=openat:delay_enter=1000000"];
    const env = here.environment();
    if (Bun.which("strace") === null || Bun.spawnSync([...held, "true"], { env }).exitCode !== 0) {
      console.log("note: strace cannot run here; saves beside a fast-forward were not checked");
      return;
    }
    const git = Bun.spawn([...held, "git", "merge", "-q", "feat"], { cwd: here.path, env, stderr: "ignore" });
    await until("git merge has begun", () => existsSync(began));
    await here.ok(PLANS.create.line);
    expect(await git.exited).toBe(0);
    expect(labels(here)).toContain("feat");
    expect(PLANS.create.isThere(here)).toBe(true);
  },
  LONG,
);

test.if(isLinux)("S3: a task that Git has kept by its own copy is not saved twice", async () => {
  using here = await fleet();
  await parted(here);
  const saving = await stoppedAt(here, "before-rename", "task create --id NEW --title N");
  const goOn = await heldGit(here)("before smudge", "checkout", "-q", "feat");
  const answered = saving.goOn();
  await until("the save has renamed", () => PLANS.create.isThere(here));
  const saved = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
  expect((await goOn()).exit).toBe(0);
  // As a merge that took it in would leave the file.
  here.write(".lodestar/spec.yaml", saved);
  const { ok } = await answered;
  expect(ok).toBe(true);
  expect(Object.keys(here.file())).toEqual(["A", "M", "NEW"]);
});

/** Less than a save waits for a Git at most, which here keeps changing its folder: waiting for it shows as a timeout. */
const SOON = 20_000;

test.if(isLinux)(
  "S3: a command that a rebase executes does not wait for that rebase",
  async () => {
    using here = await fleet();
    await parted(here);
    const script = `while [ ! -e ../done ]; do : > .git/sign; rm -f .git/sign; sleep 0.02; done & ${LODESTAR} task create --id NEW --title N; touch ../done; wait`;
    const child = Bun.spawn(["git", "rebase", "-q", "--exec", script, "HEAD~1"], {
      cwd: here.path,
      env: here.environment({ GIT_EDITOR: "true" }),
      stdout: "ignore",
      stderr: "ignore",
    });
    await child.exited;
    expect(Object.keys(here.file())).toEqual(["A", "M", "NEW"]);
  },
  SOON,
);

test.if(isLinux)(
  "S3: a merge whose message is being typed holds nobody up",
  async () => {
    using here = await fleet();
    await parted(here);
    const [typing, typed] = [join(here.base, "typing"), join(here.base, "typed")];
    const editor = `touch ${typing}; while [ ! -e ${typed} ]; do sleep 0.02; done; true`;
    const child = Bun.spawn(["git", "merge", "-q", "--edit", "feat"], {
      cwd: here.path,
      env: here.environment({ GIT_EDITOR: `sh -c '${editor}'` }),
      stdout: "ignore",
      stderr: "ignore",
    });
    await until("somebody types", () => existsSync(typing));
    // Some time ago.
    utimesSync(join(here.path, ".git"), new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
    await here.ok("task create --id NEW --title N");
    writeFileSync(typed, "");
    expect(await child.exited).toBe(0);
    expect(labels(here).toSorted()).toEqual(["feat", "main"]);
    expect(Object.keys(here.file())).toEqual(["A", "M", "NEW"]);
  },
  SOON,
);
