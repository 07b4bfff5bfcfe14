/** Many processes change one spec. */
import { expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  FAULTY,
  type Fleet,
  fleet,
  leftovers,
  rounds,
  stoppedAt,
  tally,
  tasksIn,
  together,
  until,
} from "../support/fleet.ts";
import { whileReading } from "../support/readers.ts";

const LONG = 180_000;
const two = (n: number) => String(n).padStart(2, "0");

test(
  "S3: 32 processes that create 10 tasks each lose none of the 320, in a file that is valid all the time",
  async () => {
    using here = await fleet();
    here.tasks(["M"]);
    await whileReading(here, () =>
      together(32, async (n) => {
        for (let i = 1; i <= 10; i += 1) {
          await here.ok([
            "task",
            "create",
            "--id",
            `P${two(n)}-${two(i)}`,
            "--title",
            `Number ${i} of ${n}: "quoted" # and more`,
          ]);
        }
      }),
    );
    const tasks = here.file();
    const ids = Object.keys(tasks);
    expect(ids).toHaveLength(321);
    // S1: each went where its id sorts, and what was there by hand is there to the byte.
    expect(ids.slice(1)).toEqual(ids.slice(1).sort());
    expect(tasks["P07-03"].title).toBe('Number 3 of 7: "quoted" # and more');
    const text = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    expect(text).toStartWith("# Kept by hand\n");
    expect(text).toContain("    # the end of M, between which and the next\n    # task there is room enough for M\n");
    expect(leftovers(here.path)).toEqual([]);
    const { events } = await here.ok("events --since 0 --type task.created --limit 1000");
    expect(new Set(events.map(({ task_id }: { task_id: string }) => task_id)).size).toBe(320);
    expect((await here.ok("doctor")).healthy).toBe(true);
  },
  LONG,
);

test(
  "S3: 24 processes that create tasks without ids get 24 different ones",
  async () => {
    using here = await fleet();
    for (const round of rounds(1)) {
      const made = await together(24, (n) => here.ok(`task create --title N${n}`));
      expect(new Set(made.map(({ id }) => id)).size).toBe(24);
      expect(Object.keys(here.file())).toHaveLength(24 * round);
    }
  },
  LONG,
);

test(
  "S3: of 16 processes that create the same id one does, the others are told ID_TAKEN",
  async () => {
    using here = await fleet();
    for (const round of rounds(2)) {
      const ran = await together(16, (n) => here.call(`task create --id T${round} --title by-${n}`));
      expect(tally(ran.map(({ exit }) => exit))).toEqual({ 0: 1, 1: 15 });
      for (const { json } of ran) if (!json.ok) expect(json.error.code).toBe("ID_TAKEN");
      const won = ran.find(({ exit }) => exit === 0)?.json.data;
      expect(here.file()[`T${round}`].title).toBe(won.title);
    }
  },
  LONG,
);

test(
  "T2: 32 processes that finish 32 tasks at once leave both planes saying so",
  async () => {
    using here = await fleet();
    for (const round of rounds(2)) {
      const ids = Array.from({ length: 32 }, (_, i) => `R${round}-${two(i + 1)}`);
      here.tasks(ids);
      await Promise.all(ids.map((id) => here.ok(`agent join --id A-${id}`)));
      await Promise.all(ids.map((id) => here.ok(`task claim ${id} --agent A-${id}`)));
      await whileReading(here, () =>
        Promise.all(
          ids.map(async (id) => {
            expect(await here.ok(`task done ${id} --agent A-${id}`)).toMatchObject({
              status: "done",
              completed_by: `A-${id}`,
            });
          }),
        ),
      );
      const tasks = here.file();
      for (const id of ids) expect(tasks[id]).toMatchObject({ status: "done", completed_by: `A-${id}` });
      const status = await here.ok("status");
      expect(status).toMatchObject({ tasks: { by_status: { done: 32 } }, agents: { active_leases: 0 } });
      expect(status.only_in_runtime).toBeUndefined();
      // The runtime says so too, without the file: an older one does not undo it.
      here.tasks(ids);
      expect((await here.ok("status")).tasks.by_status).toEqual({ done: 32 });
    }
  },
  LONG,
);

test(
  "S3: 16 processes that each add a label to one task, and 16 that each add a criterion, add 32 things",
  async () => {
    using here = await fleet();
    here.tasks(["T"]);
    for (const round of rounds(1)) {
      await together(32, (n) =>
        here.ok(n % 2 === 0 ? `task update T --add-label r${round}-${n}` : `task update T --accept r${round}-${n}`),
      );
      expect(here.file().T.labels).toHaveLength(16 * round);
      expect(here.file().T.acceptance_criteria).toHaveLength(16 * round);
    }
  },
  LONG,
);

test(
  "S3: no word of a person overwrites an outcome that was recorded while it was typed",
  async () => {
    using here = await fleet();
    for (const round of rounds(8)) {
      const ids = Array.from({ length: 4 }, (_, i) => `R${round}-${i}`);
      here.tasks(ids);
      await Promise.all(
        ids
          .flatMap((id) => [
            here.ok(`task done ${id}`),
            here.call(`task update ${id} --status blocked`).then(({ exit, json }) => {
              if (exit !== 0) expect(json.error.code).toBe("NOT_CLAIMABLE");
            }),
          ])
          .map((one) =>
            one.catch((error: Error) => {
              // A task that is blocked already cannot be finished by somebody who does not hold it.
              expect(error.message).toContain("NOT_CLAIMABLE");
            }),
          ),
      );
      const { tasks } = await here.ok("task list");
      const file = here.file();
      for (const { id, status } of tasks) expect({ id, status: file[id].status }).toEqual({ id, status });
    }
  },
  LONG,
);

test("S3: an update that waits for the lock sees what was recorded meanwhile", async () => {
  using here = await fleet();
  here.tasks(["T", "U"]);
  const saving = await stoppedAt(here, "before-rename", "task update U --title Other");
  const blocking = here.call("task update T --status blocked");
  const finishing = here.call("task done T");
  await Bun.sleep(300);
  await saving.goOn();
  const ran = await Promise.all([blocking, finishing]);
  expect(ran.filter(({ exit }) => exit === 0).length).toBeGreaterThan(0);
  expect(here.file().T.status).toBe((await here.show("T")).status);
  expect(here.file().U.title).toBe("Other");
});

test(
  "L6: 64 processes that make the very first write in a fresh repository all succeed",
  async () => {
    for (const _ of rounds(2)) {
      using here = await fleet();
      expect(existsSync(join(here.path, ".lodestar/runtime.sqlite"))).toBe(false);
      const ran = await whileReading(here, () =>
        together(64, (n) => here.call(n % 4 === 0 ? `task create --id T${n} --title N` : `agent join --id A${n}`)),
      );
      for (const { exit, stdout, stderr } of ran)
        expect({ exit, stderr, stdout: exit === 0 ? "" : stdout }).toEqual({ exit: 0, stderr: "", stdout: "" });
      expect(Object.keys(here.file())).toHaveLength(16);
      expect((await here.ok("agent list")).count).toBe(48);
      expect((await here.ok("events --since 0 --limit 1000")).events).toHaveLength(64);
    }
  },
  LONG,
);

test(
  "L6: 32 processes that set up the same folder at once all succeed, and set up one",
  async () => {
    for (const _ of rounds(2)) {
      using here = await fleet({ init: false });
      const ran = await together(32, () => here.call("init"));
      for (const { exit, stdout } of ran)
        expect({ exit, stdout: exit === 0 ? "" : stdout }).toEqual({ exit: 0, stdout: "" });
      expect(readFileSync(join(here.path, "AGENTS.md"), "utf8").split("<!-- lodestar").length).toBeLessThanOrEqual(3);
      const exclude = readFileSync(join(here.path, ".git/info/exclude"), "utf8")
        .split("\n")
        .filter((line) => line.includes("runtime.sqlite"));
      expect(exclude).toHaveLength(1);
      await here.ok("task create --title First");
    }
  },
  LONG,
);

test(
  "S3: edits by hand (read, append, rename) go on beside 16 creates; the file is valid at all times, and what only Lodestar wrote stays",
  async () => {
    for (const _ of rounds(2)) {
      using here = await fleet();
      here.tasks(["M"]);
      const spec = join(here.path, ".lodestar/spec.yaml");
      let done = false;
      // What an editor overwrote, it overwrote: it takes no lock of ours. It names what it had read.
      const overwritten = new Set<string>();
      const editor = (async () => {
        for (let n = 1; !done; n += 1) {
          const before = readFileSync(spec, "utf8");
          writeFileSync(`${spec}~`, `${before}# by hand ${n}\n`);
          const last = readFileSync(spec, "utf8");
          renameSync(`${spec}~`, spec);
          const kept = new Set(Object.keys(tasksIn(before)));
          for (const id of Object.keys(tasksIn(last))) if (!kept.has(id)) overwritten.add(id);
          await Bun.sleep(15);
        }
      })();
      const ids = await whileReading(here, () =>
        together(16, (n) => here.ok(`task create --id T${two(n)} --title N`).then(({ id }) => id as string)),
      );
      done = true;
      await editor;
      const text = readFileSync(spec, "utf8");
      const tasks = tasksIn(text);
      expect(Object.keys(tasks)).toContain("M");
      // Between that look and the rename are some microseconds, in which at most one save of ours fits.
      const lost = ids.filter((id) => tasks[id] === undefined && !overwritten.has(id));
      expect(lost.length).toBeLessThanOrEqual(1);
      expect(text).toContain("# by hand ");
      expect(await here.ok("task list --limit 100").then(({ count }) => count)).toBe(Object.keys(tasks).length);
    }
  },
  LONG,
);

test(
  "S3: lines appended in place beside 16 creates are all kept or written again by whoever appends",
  async () => {
    using here = await fleet();
    here.tasks(["M"]);
    const spec = join(here.path, ".lodestar/spec.yaml");
    let done = false;
    const appending = (async () => {
      for (let n = 1; !done; n += 1) {
        appendFileSync(spec, `# appended ${n}\n`);
        await Bun.sleep(10);
      }
    })();
    await whileReading(here, () => together(16, (n) => here.ok(`task create --id T${two(n)} --title N`)));
    done = true;
    await appending;
    expect(Object.keys(here.file()).sort()).toEqual(["M", ...Array.from({ length: 16 }, (_, i) => `T${two(i + 1)}`)]);
    expect((await here.ok("task list --limit 100")).count).toBe(17);
  },
  LONG,
);

test(
  "S3: those who wait for the lock are served in the order in which they came, and leave no trace",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 12 }, (_, i) => `T${two(i)}`);
    here.tasks(["HOLDER", ...ids]);
    const holder = await stoppedAt(here, "before-rename", "task update HOLDER --priority 1");
    const queue = join(here.path, ".git/lodestar/spec.lock.queue");
    const waiting: Promise<unknown>[] = [];
    for (const id of ids) {
      waiting.push(here.ok(`task update ${id} --priority 1`));
      // One that is already gone and has not been seen for long: it must not hold up those behind it.
      if (id === "T05") {
        const dead = join(queue, "000000000000001-00000000-0000-4000-8000-000000000000");
        writeFileSync(dead, "");
        utimesSync(dead, 1, 1);
      }
      await until(`${id} has its place`, () => existsSync(queue) && readdirSync(queue).length >= waiting.length);
    }
    await holder.goOn();
    await Promise.all(waiting);
    const { events } = await here.ok("events --since 0 --type task.updated --limit 1000");
    const served = events.map(({ task_id }: { task_id: string }) => task_id).filter((id: string) => id !== "HOLDER");
    expect([...served].sort()).toEqual(ids);
    // How eagerly each tries goes by its place, which lets some pass their neighbours: of 66 pairs a few, where without places
    // half of them would be turned round.
    const turned = ids.flatMap((one, i) =>
      ids.slice(i + 1).filter((next) => served.indexOf(next) < served.indexOf(one)),
    );
    expect(turned.length).toBeLessThan(26);
    expect(readdirSync(queue)).toEqual([]);
  },
  LONG,
);

test("S3 (counterexample 4): a file that was replaced while it was being saved keeps both changes", async () => {
  using here = await fleet();
  here.tasks(["M"]);
  here.commit();
  here.git("checkout", "-q", "-b", "feat");
  await here.ok("task create --id FEAT --title OnTheBranch");
  here.commit();
  here.git("checkout", "-q", "main");
  // Linux can exchange files: there even what comes after the last look is seen.
  const last = process.platform === "linux" ? ["before-rename"] : [];
  for (const point of ["before-temp", "after-temp-write", "after-fsync", ...last]) {
    const saving = await stoppedAt(here, point, `task create --id T-${point} --title N`);
    here.git("checkout", "-q", "feat", "--", ".lodestar/spec.yaml");
    const { ok } = await saving.goOn();
    expect(ok).toBe(true);
    expect(Object.keys(here.file()).sort()).toEqual(["FEAT", "M", `T-${point}`]);
    here.git("checkout", "-q", "main", "-f");
    here.git("checkout", "-q", "main", "--", ".lodestar/spec.yaml");
  }
});

test.if(process.platform === "linux")(
  "S3: an editor that comes after the last look, by rename or in place, keeps what it saved, and so does Lodestar",
  async () => {
    using here = await fleet();
    here.tasks(["M"]);
    const spec = join(here.path, ".lodestar/spec.yaml");
    for (const [n, inPlace] of [true, false, true, false].entries()) {
      const saving = await stoppedAt(here, "before-rename", `task create --id OURS${n} --title N`);
      const text = readFileSync(spec, "utf8").replace(
        "tasks:\n",
        `tasks:\n  HAND${n}: {title: By hand, status: ready}\n`,
      );
      writeFileSync(inPlace ? spec : `${spec}~`, text);
      if (!inPlace) renameSync(`${spec}~`, spec);
      expect((await saving.goOn()).ok).toBe(true);
      expect(Object.keys(here.file())).toContain(`HAND${n}`);
      expect(Object.keys(here.file())).toContain(`OURS${n}`);
      expect(leftovers(here.path)).toEqual([]);
    }
    expect(Object.keys(here.file())).toHaveLength(9);
  },
);

test("S3: while Git writes its index the save waits, and then starts over if the file changed", async () => {
  using here = await fleet();
  here.tasks(["M"]);
  const lock = join(here.path, ".git/index.lock");
  writeFileSync(lock, "");
  const creating = here.ok("task create --id T --title N");
  await until("the save waits with its temp file", () => leftovers(here.path).length === 1);
  here.tasks(["M", "N"]);
  unlinkSync(lock);
  await creating;
  expect(Object.keys(here.file()).sort()).toEqual(["M", "N", "T"]);
});

test("S3: a Git that is at work for seconds is waited for, and nothing is saved that it would write over", async () => {
  using here = await fleet();
  here.tasks(["M"]);
  const lock = join(here.path, ".git/index.lock");
  writeFileSync(lock, "");
  const creating = here.ok("task create --id T --title N");
  await until("the save waits with its temp file", () => leftovers(here.path).length === 1);
  // Longer than an index that is written already is waited for.
  await Bun.sleep(3500);
  expect(Object.keys(here.file())).toEqual(["M"]);
  here.tasks(["M", "N"]);
  unlinkSync(lock);
  await creating;
  expect(Object.keys(here.file()).sort()).toEqual(["M", "N", "T"]);
});

test("S3: a commit whose message is being typed, its index written, holds nobody up for long", async () => {
  using here = await fleet();
  writeFileSync(join(here.path, ".git/index.lock"), "DIRC");
  await here.ok("task create --id T --title N");
  expect(Object.keys(here.file())).toEqual(["T"]);
});

test("S3: what an editor writes in place into a file that was saved just now is not taken for what was saved", async () => {
  using here = await fleet();
  here.tasks(["M", "N"]);
  const spec = join(here.path, ".lodestar/spec.yaml");
  const saving = await stoppedAt(here, "after-rename", "task create --id P --title Saved");
  const text = readFileSync(spec, "utf8");
  writeFileSync(spec, text.replace("# Kept by hand\n", "").replace("Title of M", "A title of another length"));
  await saving.goOn();
  expect((await here.show("M")).title).toBe("A title of another length");
  await here.ok("task create --id Z --title Last");
  expect(Object.keys(here.file())).toEqual(["M", "N", "P", "Z"]);
});

test("S3: a spec that Git has taken away to write it anew is waited for", async () => {
  using here = await fleet();
  here.tasks(["M"]);
  const [spec, lock] = [join(here.path, ".lodestar/spec.yaml"), join(here.path, ".git/index.lock")];
  writeFileSync(lock, "");
  renameSync(spec, `${spec}.away`);
  const asking = [here.call("task create --id T --title N"), here.call("task list"), here.call("status")];
  // Long enough for a command that does not wait; one that does may be as late as it likes.
  await Bun.sleep(500);
  renameSync(`${spec}.away`, spec);
  unlinkSync(lock);
  for (const { exit, stdout } of await Promise.all(asking)) {
    expect(stdout).not.toContain("NOT_INITIALIZED");
    expect(exit).toBe(0);
  }
  expect(Object.keys(here.file()).sort()).toEqual(["M", "T"]);
});

/** As a Git that died some time ago left it. */
function leaveLock(here: Fleet): void {
  const lock = join(here.path, ".git/index.lock");
  writeFileSync(lock, "");
  utimesSync(lock, new Date(Date.now() - 600_000), new Date(Date.now() - 600_000));
}

test("S3: where Git's lock is left and the spec is gone for good, that is said; a hook of the commit does not wait", async () => {
  using here = await fleet();
  await here.join("A");
  here.git("add", "-A");
  unlinkSync(join(here.path, ".lodestar/spec.yaml"));
  leaveLock(here);
  await here.refused("NOT_INITIALIZED", "task list");
  const env = { LODESTAR_AGENT: "A", GIT_INDEX_FILE: join(here.path, ".git/index") };
  const hooked = await here.call("git hook pre-commit", { env });
  expect(hooked.json).toMatchObject({ ok: true, data: { acted: false }, warnings: [] });
});

test("S3: an index.lock that a crashed Git left behind delays a save, and does not stop it", async () => {
  using here = await fleet();
  leaveLock(here);
  await here.ok("task create --id T --title N");
  expect(Object.keys(here.file())).toEqual(["T"]);
});

test(
  "S3 (counterexample 1): somebody who deletes the index without pause loses nobody's task",
  async () => {
    using here = await fleet();
    let done = false;
    const deleting = (async () => {
      while (!done) {
        for (const part of ["", "-wal", "-shm"])
          rmSync(join(here.path, `.lodestar/index.sqlite${part}`), { force: true });
        await Bun.sleep(7);
      }
    })();
    await together(24, (n) => here.ok(`task create --id T${two(n)} --title N`));
    done = true;
    await deleting;
    expect(Object.keys(here.file())).toHaveLength(24);
  },
  LONG,
);

test(
  "S3, L6: processes that are killed at random leave a valid file, no lock, and every task that was acknowledged",
  async () => {
    for (const round of rounds(3)) {
      using here = await fleet();
      const children = Array.from({ length: 16 }, (_, n) =>
        Bun.spawn([FAULTY, "task", "create", "--id", `T${two(n)}`, "--title", "N", "--json"], {
          cwd: here.path,
          env: here.environment(),
          stdout: "pipe",
          stderr: "ignore",
        }),
      );
      // Two thirds of them, spread over the time that all of them take.
      for (const [n, child] of children.entries())
        if (n % 3 !== 0) setTimeout(() => child.kill("SIGKILL"), 20 + ((n * 37 + round * 13) % 400));
      const acknowledged = await Promise.all(
        children.map(async (child, n) => {
          const text = await new Response(child.stdout).text();
          return (await child.exited) === 0 && JSON.parse(text).ok ? [`T${two(n)}`] : [];
        }),
      );
      const tasks = Object.keys(here.file());
      expect(tasks).toEqual(expect.arrayContaining(acknowledged.flat()));
      await here.ok("task create --id LAST --title N");
      expect(leftovers(here.path)).toEqual([]);
      expect(Object.keys(here.file())).toContain("LAST");
    }
  },
  LONG,
);
