/** Each hostile case that once did harm, by itself. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SpecIndex } from "../../src/spec/index.ts";
import { specKey } from "../../src/spec/key.ts";
import { withSpecLock } from "../../src/spec/lock.ts";
import { runtimeDamage } from "./databases.ts";
import type { Said } from "./oracle.ts";
import { type HostilePlace, hostilePlace } from "./place.ts";

const SPEC = "project: {name: shop}\ntasks:\n  A:\n    title: one\n    status: ready\n";
const FIXTURES = join(import.meta.dir, "..", "fixtures", "hostile");

let here: HostilePlace;
beforeEach(() => {
  here = hostilePlace(1, SPEC);
});
afterEach(() => here[Symbol.dispose]());

const json = ({ out }: Said) => JSON.parse(out);
const at = (name: string): string => join(here.root, name);
function fifo(name: string): void {
  rmSync(at(name), { recursive: true, force: true });
  expect(Bun.spawnSync(["mkfifo", at(name)]).exitCode).toBe(0);
}
const join_ = (...more: string[]) => here.call(["agent", "join", "--id", "ALICE", "--json", ...more]);

describe.skipIf(process.platform === "win32")("a pipe that nobody writes to is not waited for", () => {
  test("in the spec's place", async () => {
    fifo(".lodestar/spec.yaml");
    for (const argv of [["status"], ["task", "next"], ["doctor"], ["task", "create", "--title", "x"]]) {
      expect(json(await here.call([...argv, "--json"])).ok).toBe(false);
    }
    expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("SPEC_INVALID");
    expect((await here.call(["init", "--force"])).exit).toBe(3);
  });

  test.each([".git/HEAD", ".git/commondir", ".git/config", ".git/packed-refs", ".git/lodestar/runtime-home"])(
    "in the place of %s",
    async (name) => {
      mkdirSync(at(".git/lodestar"), { recursive: true });
      fifo(name);
      expect((await here.call(["status"])).exit).toBe(0);
      expect((await join_()).exit).toBe(0);
    },
  );

  test("in the place of .git: it is no repository", async () => {
    fifo(".git");
    expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("NOT_A_REPOSITORY");
  });

  test("in the place of .git/info/exclude: nothing can be ignored there, and that is said", async () => {
    fifo(".git/info/exclude");
    expect(json(await join_()).error.code).toBe("READ_ONLY");
  });

  test.each([".gitignore", ".lodestar/.gitignore"])(
    "in the place of %s: doctor does not have Git wait for it",
    async (name) => {
      await join_();
      rmSync(at(name), { force: true });
      fifo(name);
      const checks = json(await here.call(["doctor", "--json"])).data.checks as { name: string; message: string }[];
      const said = checks.filter((each) => each.name === "ignores").map(({ message }) => message);
      expect(said).toEqual([expect.stringMatching(/could not be asked|no plain file/)]);
    },
  );

  test.each([".gitattributes", ".lodestar/.gitattributes", ".git/info/attributes"])(
    "in the place of %s: doctor does not have Git wait for it",
    async (name) => {
      await here.call(["init"]);
      fifo(name);
      const checks = json(await here.call(["doctor", "--json"])).data.checks as { name: string; message: string }[];
      expect(checks.filter((each) => each.name === "merging").map(({ message }) => message)).toEqual([
        expect.stringMatching(/merges the spec as any text/),
      ]);
    },
  );

  test("in the place of what a hook left for the next command", async () => {
    await join_();
    fifo(".git/lodestar/hook-note.json");
    expect((await here.call(["task", "create", "--title", "x"])).exit).toBe(0);
    expect(existsSync(at(".git/lodestar/hook-note.json"))).toBe(true);
  });

  test("in the place of what init extends", async () => {
    fifo("AGENTS.md");
    fifo(".gitattributes");
    const said = await here.call(["init", "--json", "--mcp", "--no-git"]);
    expect(json(said).warnings.join()).toContain("AGENTS.md");
  });
});

describe("links that lead elsewhere, in circles or nowhere", () => {
  test(".git that leads to itself is no repository", async () => {
    rmSync(at(".git"), { recursive: true });
    symlinkSync(at(".git"), at(".git"));
    expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("NOT_A_REPOSITORY");
  });

  test.each(["HEAD", "config", "packed-refs"])(".git/%s that leads to itself says nothing", async (name) => {
    rmSync(at(`.git/${name}`), { force: true });
    symlinkSync(at(`.git/${name}`), at(`.git/${name}`));
    expect((await here.call(["status"])).exit).toBe(0);
  });

  test.each(["nowhere", "\u0000", "../../../secret"])("commondir that names %j", async (target) => {
    writeFileSync(at(".git/commondir"), target);
    expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("NOT_A_REPOSITORY");
  });

  test.each(["runtime.sqlite", "runtime.sqlite-wal"])(
    "%s that leads to itself is damage with a way out",
    async (name) => {
      await join_();
      rmSync(at(`.lodestar/${name}`));
      symlinkSync(at(`.lodestar/${name}`), at(`.lodestar/${name}`));
      expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("RUNTIME_CORRUPT");
      expect(json(await join_()).error.code).toBe("RUNTIME_CORRUPT");
      await here.call(["doctor", "--fix"]);
      expect((await join_()).exit).toBe(0);
    },
  );

  test.each([".gitattributes", "AGENTS.md", ".mcp.json", ".vscode"])(
    "%s that leads out of the repository is left alone by init",
    async (name) => {
      if (name === ".vscode") {
        mkdirSync(join(here.base, "outside"));
        symlinkSync(join(here.base, "outside"), at(name));
      } else symlinkSync(join(here.base, "secret"), at(name));
      here.settle();
      await here.call(["init", "--mcp"]);
      await here.call(["git", "install"]);
      await here.call(["doctor", "--fix"]);
      here.checkOutside(true);
      expect(readFileSync(join(here.base, "secret"), "utf8")).toBe("nobody may touch this\n");
    },
  );

  test(".lodestar or its .gitignore that leads to a place where nothing is yet: nothing is made there", async () => {
    rmSync(at(".lodestar"), { recursive: true });
    mkdirSync(join(here.base, "outside"));
    symlinkSync(join(here.base, "outside"), at(".lodestar"));
    expect((await here.call(["init"])).exit).toBe(3);
    rmSync(at(".lodestar"));
    mkdirSync(at(".lodestar"));
    symlinkSync(join(here.base, "new"), at(".lodestar/.gitignore"));
    await here.call(["init"]);
    expect(existsSync(join(here.base, "new"))).toBe(false);
  });

  test(".lodestar that is a file: every command says so", async () => {
    rmSync(at(".lodestar"), { recursive: true });
    writeFileSync(at(".lodestar"), "");
    expect((await here.call(["task", "next"])).exit).toBe(3);
    expect([3, 6]).toContain((await here.call(["git", "resolve"])).exit);
    expect((await here.call(["init"])).exit).toBe(3);
  });
});

describe("a spec that is no text", () => {
  test("a folder, and a device without end", async () => {
    for (const make of [() => mkdirSync(here.spec), () => symlinkSync("/dev/zero", here.spec)]) {
      rmSync(here.spec, { recursive: true });
      make();
      expect(json(await here.call(["task", "next", "--json"])).error.code).toBe("SPEC_INVALID");
    }
  });

  test.each(["anchored-tasks.yaml", "anchored-key.yaml"])(
    "%s: an edit that cannot be written is refused, and changes nothing",
    async (name) => {
      const bytes = readFileSync(join(FIXTURES, name));
      writeFileSync(here.spec, bytes);
      const { error } = json(await here.call(["task", "create", "--title", "x", "--id", "ZZZ", "--json"]));
      expect([error.code, readFileSync(here.spec).equals(bytes)]).toEqual(["SPEC_INVALID", true]);
    },
  );
});

describe("a lock that holds something", () => {
  test("is emptied, and the save goes through", async () => {
    await here.call(["task", "create", "--title", "x"]);
    writeFileSync(at(".git/lodestar/spec.lock"), "no database ".repeat(500));
    expect((await here.call(["task", "create", "--title", "y"])).exit).toBe(0);
  });

  test("or is something else than a file is named; what a link leads to is not touched", async () => {
    await here.call(["task", "create", "--title", "x"]);
    const lock = at(".git/lodestar/spec.lock");
    for (const make of [
      () => mkdirSync(lock),
      () => symlinkSync(join(here.base, "secret"), lock),
      () => symlinkSync(lock, lock),
    ]) {
      rmSync(lock, { recursive: true, force: true });
      make();
      const { error } = json(await here.call(["task", "create", "--title", "y", "--json"]));
      expect([error.code, error.message.includes(lock)]).toEqual(["READ_ONLY", true]);
      await here.call(["doctor", "--fix"]);
      here.settle();
    }
    expect(readFileSync(join(here.base, "secret"), "utf8")).toBe("nobody may touch this\n");
  });
});

test("a lock that is no file: doctor names it, and --fix touches nothing", async () => {
  await here.call(["task", "create", "--title", "x"]);
  const lock = at(".git/lodestar/spec.lock");
  rmSync(lock);
  mkdirSync(lock);
  for (const argv of [["doctor"], ["doctor", "--fix"]]) {
    const { data, ok } = json(await here.call([...argv, "--json"]));
    expect(ok).toBe(false);
    expect(data.checks.find((each: { name: string }) => each.name === "lock").message).toContain("no file");
  }
});

test.each(["null", "[]", '{"hook":"post-merge","branch":"main","written":5}', "\u0000"])(
  "what a hook left, written by somebody else (%j), is no defect and goes",
  async (text) => {
    await join_();
    writeFileSync(at(".git/lodestar/hook-note.json"), text);
    expect((await here.call(["task", "create", "--title", "x"])).exit).toBe(0);
    expect(existsSync(at(".git/lodestar/hook-note.json"))).toBe(false);
  },
);

test.each([".git/info/exclude", ".gitattributes", "AGENTS.md"])(
  "%s that is too large to be read is not replaced by what we would add",
  async (name) => {
    writeFileSync(at(name), "");
    truncateSync(at(name), 65 * 1024 * 1024);
    await here.call(["init"]);
    expect(statSync(at(name)).size).toBe(65 * 1024 * 1024);
  },
);

test("a folder called as a save's temp file stops no save, and stays", async () => {
  mkdirSync(at(".lodestar/.spec.yaml.x.tmp"));
  expect((await here.call(["task", "create", "--title", "x"])).exit).toBe(0);
  expect((await here.call(["doctor", "--fix"])).exit).toBe(0);
  expect(existsSync(at(".lodestar/.spec.yaml.x.tmp"))).toBe(true);
});

test("hooks that core.hooksPath puts where no folder can be are READ_ONLY, no defect", async () => {
  writeFileSync(at(".git/config"), "[core]\n\trepositoryformatversion = 0\n\thooksPath = /dev/null\n");
  expect(json(await here.call(["git", "install", "--hooks", "--json"])).error.code).toBe("READ_ONLY");
});

test("init --force waits for who saves the spec, and keeps what was saved", async () => {
  const saved = `${SPEC}  B:\n    title: two\n    status: ready\n`;
  let forced: Promise<Said> | undefined;
  await withSpecLock(at(".git/lodestar/spec.lock"), 1000, { now: () => Date.now() }, async () => {
    forced = here.call(["init", "--force", "--json"]);
    // The section is written before the spec: whoever does not wait has replaced it soon after.
    while (!existsSync(at("AGENTS.md"))) await Bun.sleep(1);
    await Bun.sleep(50);
    expect(readFileSync(here.spec, "utf8")).toBe(SPEC);
    writeFileSync(here.spec, saved);
  });
  const { data } = json((await forced) as Said);
  expect(readFileSync(data.backup, "utf8")).toBe(saved);
  expect(readFileSync(here.spec, "utf8")).toContain("tasks: {}");
});

describe("a damaged index", () => {
  test("that is no database is made anew by the next command that writes, and readers do without", async () => {
    await join_();
    writeFileSync(here.index, "no database ".repeat(500));
    for (const part of ["-wal", "-shm"]) rmSync(here.index + part, { force: true });
    expect((await here.call(["task", "show", "A"])).exit).toBe(0);
    expect((await here.call(["task", "claim", "A", "--agent", "ALICE"])).exit).toBe(0);
    const index = SpecIndex.open(here.index, false);
    expect([index?.count(), index?.header()?.key]).toEqual([1, specKey(here.spec)]);
    index?.close();
  });

  test("whose rows say something else than was put there is thrown away, before a decision rests on it", async () => {
    await join_();
    await here.call(["task", "update", "A", "--priority", "5"]);
    const { Database } = await import("bun:sqlite");
    const database = new Database(here.index);
    database.run(`update task set body = replace(body, '"one"', '"two"')`);
    database.close();
    expect(json(await here.call(["task", "show", "A", "--json"])).data.title).toBe("one");
    await here.call(["task", "update", "A", "--priority", "6"]);
    const again = new Database(here.index);
    again.run(`update header set body = replace(body, '"tasks_start":', '"tasks_start":1')`);
    again.close();
    expect((await here.call(["task", "create", "--title", "x", "--id", "B"])).exit).toBe(0);
    expect((await here.call(["task", "show", "B"])).exit).toBe(0);
  });

  test("that lacks a table is thrown away", async () => {
    await join_();
    await here.call(["task", "update", "A", "--priority", "5"]);
    const { Database } = await import("bun:sqlite");
    const database = new Database(here.index);
    database.run("drop table dependency");
    database.close();
    expect((await here.call(["task", "claim", "A", "--agent", "ALICE"])).exit).toBe(0);
    expect((await here.call(["doctor"])).exit).toBe(0);
  });

  test("with a folder in its place: doctor --fix leaves the folder and its files", async () => {
    mkdirSync(here.index);
    writeFileSync(join(here.index, "mine"), "");
    expect((await here.call(["doctor", "--fix"])).exit).toBe(0);
    expect(existsSync(join(here.index, "mine"))).toBe(true);
  });
});

test("doctor --fix goes on after it has moved a runtime aside that it could open", async () => {
  await runtimeDamage(29);
  await runtimeDamage(58);
}, 60_000);

test("what a brief tells an agent to run is safe to paste, whatever the task is called", async () => {
  writeFileSync(here.spec, "tasks:\n  '$(touch CANARY)': {title: one, status: ready}\n");
  for (const format of ["claude", "copilot", "generic"]) {
    const said = json(await here.call(["agent", "brief", "--task=$(touch CANARY)", "--format", format, "--json"]));
    expect(said.data.formatted_output).toMatch(/lodestar task done '\$\(touch CANARY\)' --agent/);
  }
});

test("markers around a task that stands twice and cannot be read are refused, not a defect", async () => {
  const task = (title: string) => `  A:\n    title: ${title}\n    status: ready\n`;
  writeFileSync(
    here.spec,
    `tasks:\n${task("one")}${task("[two")}<<<<<<< ours\n${task("three")}=======\n${task("four")}>>>>>>> theirs\n`,
  );
  const before = readFileSync(here.spec);
  const { exit, out } = await here.call(["git", "resolve", "--json"]);
  expect({ exit, code: JSON.parse(out).error.code }).toEqual({ exit: 6, code: "SPEC_INVALID" });
  expect(readFileSync(here.spec)).toEqual(before);
});

test("a folder or a pipe where the merged file should be is nothing that was saved meanwhile", async () => {
  for (const name of ["base.yaml", "ours.yaml", "theirs.yaml"]) writeFileSync(at(name), SPEC);
  mkdirSync(at("folder"));
  if (process.platform !== "win32") fifo("pipe");
  for (const path of ["..", "folder", "pipe"])
    expect((await here.call(["git", "merge-driver", "base.yaml", "ours.yaml", "theirs.yaml", path])).exit).toBe(0);
});
