/** Repositories in places that programs forget: names with every sign, another user's files. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fleet, fleet, LODESTAR, specText, tasksIn, words } from "../support/fleet.ts";
import { rows } from "../support/runtime-file.ts";
import { binary } from "../support/sandbox.ts";

const isWindows = process.platform === "win32";

describe.skipIf(isWindows)("a repository and its runtime in a folder whose name", () => {
  test.each([
    ["has spaces", " two  words "],
    ["has a newline", "line\nbreak"],
    ["has quotes", `it's "quoted" \`here\``],
    ["has what shells and SQLite's URIs read", "a?b#c%20d&e;f$HOME*[x]{y}\\z|<>!~"],
    ["is not in Latin letters", "данные-数据-🚀-e\u0301"],
    ["begins with a dash", "-rf"],
    ["is 250 bytes long", "n".repeat(250)],
  ])(
    "%s works: every kind of file is made and found again",
    async (_what, name) => {
      using here = await fleet({ init: false });
      const root = join(here.base, name);
      const elsewhere = join(here.base, "runtimes", name);
      mkdirSync(root);
      mkdirSync(elsewhere, { recursive: true });
      const inside = { cwd: root };
      here.git("-C", root, "init", "-q", "-b", "main");
      for (const env of [{}, { LODESTAR_RUNTIME: join(elsewhere, "runtime.sqlite") }]) {
        const at = { ...inside, env };
        await here.ok("init", at);
        await here.ok("agent join --id A", at);
        await here.ok("task create --id T --title T --lock src/**", at).catch(() => undefined);
        await here.ok("task claim T --agent A", at);
        expect((await here.ok("status", at)).leases).toMatchObject([{ task_id: "T", agent_id: "A" }]);
        await here.ok("task done T --agent A", at);
        await here.ok("task reopen T", at);
        const { checks } = await here.ok("doctor", at);
        expect(checks.filter(({ status }: { status: string }) => status === "fail" || status === "warn")).toEqual([]);
        await here.ok("reset --force", at);
      }
      expect(existsSync(join(elsewhere, "runtime.sqlite"))).toBe(true);
      // From a folder below, and by --repo.
      mkdirSync(join(root, "src"));
      expect((await here.ok("task show T", { cwd: join(root, "src") })).id).toBe("T");
      expect((await here.ok(["task", "show", "T", "--repo", root])).id).toBe("T");
      // Git calls the merge driver there.
      const bin = join(here.base, "bin");
      mkdirSync(bin);
      writeFileSync(join(bin, "lodestar"), `#!/bin/sh\nexec '${LODESTAR}' "$@"\n`, { mode: 0o755 });
      const git = (...args: string[]) => {
        const env = here.environment();
        const ran = Bun.spawnSync(["git", ...args], {
          cwd: root,
          env: { ...env, PATH: `${bin}:${env.PATH}` },
          stdout: "pipe",
          stderr: "pipe",
        });
        expect({ args, exit: ran.exitCode, err: ran.exitCode === 0 ? "" : `${ran.stdout}${ran.stderr}` }).toEqual({
          args,
          exit: 0,
          err: "",
        });
      };
      for (const [key, value] of [
        ["user.name", "T"],
        ["user.email", "t@example.invalid"],
      ] as const)
        git("config", key, value);
      git("add", "-A");
      git("commit", "-qm", "plan");
      git("checkout", "-qb", "feat");
      await here.ok("task create --id U1 --title U1", inside);
      git("commit", "-qam", "one");
      git("checkout", "-q", "main");
      await here.ok("task create --id U2 --title U2", inside);
      git("commit", "-qam", "two");
      git("merge", "-q", "--no-edit", "feat");
      expect(Object.keys(tasksIn(readFileSync(join(root, ".lodestar/spec.yaml"), "utf8"))).sort()).toEqual([
        "T",
        "U1",
        "U2",
      ]);
      // A linked worktree beside it shares the runtime.
      await here.ok("agent join --id B", inside);
      git("worktree", "add", "-q", "-b", "other", join(here.base, `w${name}`.slice(0, 250)));
      const beside = { cwd: join(here.base, `w${name}`.slice(0, 250)) };
      await here.ok("task claim U1 --agent B", beside);
      expect((await here.ok("status", inside)).leases).toMatchObject([{ task_id: "U1", agent_id: "B" }]);
    },
    60_000,
  );
});

/** Somebody who is neither root nor the owner. */
const NOBODY = 65534;
const canBeNobody = process.getuid?.() === 0 && Bun.which("setpriv") !== null;

test.skipIf(canBeNobody || isWindows)("another user's files are not tested here", () => {
  console.log("skipped: only root can be another user, by setpriv");
});

describe.skipIf(!canBeNobody)("another user", () => {
  let folder: string | undefined;
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    folder = undefined;
  });
  /** A program that nobody may run: where this repository lies, others may not look. */
  function program(): string {
    folder = mkdtempSync(join(tmpdir(), "lodestar-nobody-"));
    chmodSync(folder, 0o755);
    cpSync(binary(), join(folder, "lodestar"));
    chmodSync(join(folder, "lodestar"), 0o755);
    return join(folder, "lodestar");
  }
  const asNobody = (here: Fleet, line: string, path: string) =>
    here.call(["--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups", path, ...words(line)], {
      program: "setpriv",
      env: { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: "*" },
    });
  async function planned(): Promise<Fleet> {
    const here = await fleet();
    chmodSync(here.base, 0o755);
    await here.join("A");
    here.write(".lodestar/spec.yaml", specText(["T", "U"]));
    await here.ok("task claim T --agent A");
    return here;
  }
  const WRITES = [
    "task create --id N --title N",
    "task update U --title N",
    "agent join --id B",
    "task claim U --agent A",
    "task done T --agent A",
    "task next --claim --agent A",
    "reset --hard --force",
    "init --force",
    "git install --hooks",
  ];
  const READS = ["status", "task list", "task show T", "task next", "doctor", "agent list", "events --since 0"];

  test("reads what the owner lets be read, and every write is READ_ONLY and changes nothing", async () => {
    using here = await planned();
    const path = program();
    const before = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    for (const line of READS) {
      const { exit, stdout } = await asNobody(here, line, path);
      expect({ line, exit, stdout: exit === 0 ? "" : stdout }).toEqual({ line, exit: 0, stdout: "" });
    }
    expect((await asNobody(here, "status", path)).json.data.leases).toMatchObject([{ task_id: "T" }]);
    for (const line of WRITES) {
      const { exit, json } = await asNobody(here, line, path);
      expect({ line, exit, code: json.error?.code, message: json.error?.message }).toMatchObject({
        line,
        exit: 6,
        code: "READ_ONLY",
      });
      expect(json.error.hint).not.toBe("");
    }
    expect(readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8")).toBe(before);
    expect(rows(here.path, "select agent_id from agent")).toEqual([{ agent_id: "A" }]);
    await here.ok("task done T --agent A");
  });

  test("with the folder theirs and the lock or the runtime another's, it is READ_ONLY, never a defect", async () => {
    for (const foreign of [".git/lodestar/spec.lock", ".lodestar/runtime.sqlite", ".lodestar/spec.yaml"]) {
      using here = await planned();
      const path = program();
      await here.ok("task create --id W --title W");
      for (const own of [
        ".lodestar",
        ".git",
        ".git/lodestar",
        ".git/info",
        ".lodestar/runtime.sqlite",
        ".lodestar/runtime.sqlite-wal",
        ".lodestar/runtime.sqlite-shm",
        ".lodestar/index.sqlite",
        ".lodestar/index.sqlite-wal",
        ".lodestar/index.sqlite-shm",
        ".lodestar/spec.yaml",
        ".git/lodestar/spec.lock",
        ".git/lodestar/runtime.lock",
      ])
        if (own !== foreign && existsSync(join(here.path, own))) chownSync(join(here.path, own), NOBODY, NOBODY);
      chmodSync(join(here.path, foreign), foreign.endsWith(".yaml") ? 0o600 : 0o644);
      for (const line of ["task create --id N --title N", "task done T --agent A", "status"]) {
        const { exit, json } = await asNobody(here, line, path);
        expect({
          foreign,
          line,
          code: exit === 0 ? "ok" : json.error.code,
          message: json.error?.message,
        }).toMatchObject({
          foreign,
          line,
          code: expect.stringMatching(/^(ok|READ_ONLY|SPEC_INVALID)$/),
        });
      }
    }
  });

  test("a shared repository keeps its group: what one of them saves, the other can", async () => {
    using here = await planned();
    const path = program();
    for (const name of [".lodestar", ".git", ".git/lodestar", ".git/info"]) {
      chownSync(join(here.path, name), 0, NOBODY);
      chmodSync(join(here.path, name), 0o2775);
    }
    for (const name of [
      ".lodestar/spec.yaml",
      ".git/lodestar/spec.lock",
      ".git/info/exclude",
      ...["", "-wal", "-shm"].flatMap((part) => [`.lodestar/runtime.sqlite${part}`, `.lodestar/index.sqlite${part}`]),
    ]) {
      if (!existsSync(join(here.path, name))) continue;
      chownSync(join(here.path, name), 0, NOBODY);
      chmodSync(join(here.path, name), 0o664);
    }
    const { exit, stdout } = await asNobody(here, "task create --id N --title N", path);
    expect({ exit, stdout: exit === 0 ? "" : stdout }).toEqual({ exit: 0, stdout: "" });
    const stat = statSync(join(here.path, ".lodestar/spec.yaml"));
    expect({ gid: stat.gid, mode: stat.mode & 0o777 }).toEqual({ gid: NOBODY, mode: 0o664 });
    await here.ok("task create --id M --title M");
    expect((await asNobody(here, "task done T --agent A", path)).exit).toBe(0);
  });
});
