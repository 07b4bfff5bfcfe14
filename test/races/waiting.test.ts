/** Processes that wait for work. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { FAULTY, type Fleet, fleet, LODESTAR, processStat, rounds, until, words } from "../support/fleet.ts";

const LONG = 120_000;

/** How many waiters stand in line. */
function tickets(here: Fleet): number {
  const path = join(here.path, ".lodestar/runtime.sqlite");
  if (!existsSync(path)) return 0;
  using runtime = new Database(path, { readonly: true });
  runtime.run("pragma busy_timeout = 5000");
  return (runtime.query("select count(*) as n from ticket").get() as { n: number }).n;
}

/** Stops a waiter where it sleeps: one that stood still while it writes would keep everybody else from writing. */
async function standStill(here: Fleet, pid: number): Promise<void> {
  await until("the waiter stands still and writes nothing", () => {
    process.kill(pid, "SIGSTOP");
    using runtime = new Database(join(here.path, ".lodestar/runtime.sqlite"));
    try {
      runtime.run("begin immediate");
      runtime.run("rollback");
      return true;
    } catch {
      process.kill(pid, "SIGCONT");
      return false;
    }
  });
}

/** A process that waits in the background. */
function waiter(here: Fleet, line: string, { cwd = here.path, program = LODESTAR } = {}) {
  const child = Bun.spawn([program, ...words(line), "--json"], {
    cwd,
    env: here.environment(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const answer = new Response(child.stdout).text().then(async (text) => {
    await child.exited;
    return JSON.parse(text);
  });
  // Of one that is killed nobody asks the answer.
  answer.catch(() => {});
  return { child, answer };
}

test(
  "L7: eight waiters get the tasks that come one by one, each one task, in the order in which they came",
  async () => {
    for (const _ of rounds(2)) {
      using here = await fleet();
      const ids = Array.from({ length: 8 }, (_, i) => `W${i + 1}`);
      await here.join(...ids);
      const waiters: ReturnType<typeof waiter>[] = [];
      for (const [i, id] of ids.entries()) {
        waiters.push(waiter(here, `task next --claim --wait 60s --agent ${id}`));
        await until(`${i + 1} stand in line`, () => tickets(here) === i + 1);
      }
      for (const [i, one] of waiters.entries()) {
        await here.ok(`task create --id T${i + 1} --title N`);
        const { ok, data } = await one.answer;
        expect({ ok, task_id: data.task_id, agent_id: data.agent_id }).toEqual({
          ok: true,
          task_id: `T${i + 1}`,
          agent_id: `W${i + 1}`,
        });
        expect(waiters.map(({ child }) => child.exitCode !== null)).toEqual(ids.map((_, n) => n <= i));
      }
      expect(tickets(here)).toBe(0);
    }
  },
  LONG,
);

test(
  "L7: of tasks that come all at once each waiter gets another, and none waits on",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 8 }, (_, i) => `W${i + 1}`);
    await here.join(...ids);
    const waiters = ids.map((id) => waiter(here, `task next --claim --wait 60s --agent ${id}`));
    await until("all stand in line", () => tickets(here) === 8);
    here.tasks(ids.map((id) => `T-${id}`));
    const got = await Promise.all(waiters.map(({ answer }) => answer));
    expect(got.map(({ data }) => data.task_id).sort()).toEqual(ids.map((id) => `T-${id}`));
  },
  LONG,
);

test(
  "L7: who waits for another label stands in another line",
  async () => {
    using here = await fleet();
    await here.join("UI", "ANY", "DB");
    const ui = waiter(here, "task next --claim --wait 60s --label ui --agent UI");
    await until("one stands in line", () => tickets(here) === 1);
    const db = waiter(here, "task next --claim --wait 60s --label db --agent DB");
    await until("two stand in line", () => tickets(here) === 2);
    await here.ok("task create --id D --title N --label db");
    expect((await db.answer).data.task_id).toBe("D");
    expect(ui.child.exitCode).toBeNull();
    const any = waiter(here, "task next --claim --wait 60s --agent ANY");
    await until("two stand in line again", () => tickets(here) === 2);
    await here.ok("task create --id E --title N");
    expect((await any.answer).data.task_id).toBe("E");
    await here.ok("task create --id F --title N --label ui");
    expect((await ui.answer).data.task_id).toBe("F");
  },
  LONG,
);

test(
  "L7: a waiter that was killed loses its place; the next in line gets the task",
  async () => {
    using here = await fleet();
    await here.join("W1", "W2");
    const first = waiter(here, "task next --claim --wait 60s --agent W1");
    await until("one stands in line", () => tickets(here) === 1);
    const second = waiter(here, "task next --claim --wait 60s --agent W2");
    await until("two stand in line", () => tickets(here) === 2);
    first.child.kill("SIGKILL");
    await first.child.exited;
    await here.ok("task create --id T --title N");
    expect((await second.answer).data).toMatchObject({ task_id: "T", agent_id: "W2" });
    expect(tickets(here)).toBe(0);
  },
  LONG,
);

test(
  "L7: a waiter that stands still loses its place after a while, and waits on when it goes on",
  async () => {
    using here = await fleet();
    await here.join("W1", "W2");
    const first = waiter(here, "task next --claim --wait 60s --agent W1");
    await until("one stands in line", () => tickets(here) === 1);
    await standStill(here, first.child.pid);
    const second = waiter(here, "task next --claim --wait 60s --agent W2");
    await until("two stand in line", () => tickets(here) === 2);
    await here.ok("task create --id T --title N");
    expect((await second.answer).data.task_id).toBe("T");
    expect(tickets(here)).toBe(0);
    first.child.kill("SIGCONT");
    await here.ok("task create --id U --title N");
    expect((await first.answer).data.task_id).toBe("U");
  },
  LONG,
);

test(
  "L7: a waiter wakes for a lease that runs out, for a verified dependency and for a file that a person saves",
  async () => {
    using here = await fleet();
    await here.join("H", "W");
    here.tasks(["T"]);
    await here.ok("task claim T --agent H --ttl 2s");
    const expiry = waiter(here, "task next --claim --wait 60s --agent W");
    expect((await expiry.answer).data.task_id).toBe("T");
    await here.ok("task done T --agent W");

    here.tasks(["T", "U"], (id) => (id === "U" ? ["depends_on: [T]"] : []));
    const dependency = waiter(here, "task claim U --wait 60s --agent W");
    await until("it stands in line", () => tickets(here) === 1);
    await here.ok("task verify T --agent H");
    expect((await dependency.answer).data.task_id).toBe("U");
    await here.ok("task done U --agent W --verify");

    const person = waiter(here, "task next --claim --wait 60s --agent W");
    await until("it stands in line", () => tickets(here) === 1);
    here.tasks(["T", "U", "V"]);
    expect((await person.answer).data.task_id).toBe("V");
  },
  LONG,
);

test(
  "L7: waiting without claiming sees a change that comes at any moment",
  async () => {
    using here = await fleet();
    await here.join("A");
    for (const round of rounds(6)) {
      const watching = waiter(here, "task next --wait 60s");
      const event = waiter(here, `wait --for task.claimable:T${round} --timeout 60s`);
      const made = here.ok(`task create --id T${round} --title N`);
      await made;
      const told = await event.answer;
      if (told.ok) expect(told.data.event.task_id).toBe(`T${round}`);
      else expect(told.error.code).toBe("TASK_NOT_FOUND");
      expect((await watching.answer).data.tasks).toHaveLength(1);
      await here.ok(`task done T${round}`);
    }
  },
  LONG,
);

test("L7: who waits in vain is told TIMEOUT, exit status 5, and leaves no ticket", async () => {
  using here = await fleet();
  await here.join("W");
  const error = await here.refused("TIMEOUT", "task next --claim --wait 1s --agent W");
  expect(error).toMatchObject({ retriable: true, details: { remaining: { claimed: 0 } } });
  expect(tickets(here)).toBe(0);
});

test.skipIf(process.platform !== "linux")(
  "L7: eight processes that wait for three seconds use less than 0.3 s of the processor each",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 8 }, (_, i) => `W${i + 1}`);
    await here.join(...ids);
    const waiters = ids.map((id) => waiter(here, `task next --claim --wait 60s --agent ${id}`, { program: FAULTY }));
    await until("all stand in line", () => tickets(here) === 8);
    const before = waiters.map(({ child }) => processStat(child.pid)?.cpu ?? 0);
    await Bun.sleep(3000);
    const used = waiters.map(({ child }, i) => (processStat(child.pid)?.cpu ?? Number.NaN) - (before[i] ?? 0));
    for (const { child } of waiters) child.kill();
    console.log(`CPU of waiters over 3 s, in ms: ${used.join(" ")}`);
    expect(Math.max(...used)).toBeLessThan(300);
  },
  LONG,
);
