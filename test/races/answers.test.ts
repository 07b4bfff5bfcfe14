/** One effect and one answer: what is told once, and what a repeated call is told. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { fleet, rounds, stoppedAt, together } from "../support/fleet.ts";

const LONG = 120_000;

/** The answers of several processes that made the same request with the same key. */
function same(answers: readonly unknown[]): unknown {
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  return answers[0];
}

test(
  "L4: 16 processes that create a task with one idempotency key create one task, and get one answer",
  async () => {
    using here = await fleet();
    for (const round of rounds(3)) {
      const made = await together(16, () => here.ok(`task create --title N --idempotency-key k${round}`));
      const { id } = same(made) as { id: string };
      expect(Object.keys(here.file())).toHaveLength(round);
      expect(here.file()[id].title).toBe("N");
      const { events } = await here.ok(`events --since 0 --type task.created --task ${id}`);
      expect(events).toHaveLength(1);
      expect(await here.ok(`task create --title N --idempotency-key k${round}`)).toEqual(made[0]);
    }
    const error = await here.refused("IDEMPOTENCY_MISMATCH", "task create --title Other --idempotency-key k1");
    expect(error.details.idempotency_key).toBe("k1");
  },
  LONG,
);

test(
  "L4: 16 processes that take another task with one idempotency key take one, and get one answer",
  async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(Array.from({ length: 20 }, (_, i) => `T${i}`));
    for (const round of rounds(3)) {
      const got = await together(16, () =>
        here.ok(`task next --claim --another --agent A --idempotency-key k${round}`),
      );
      const { task_id } = same(got) as { task_id: string };
      const { leases } = await here.ok("status");
      expect(leases).toHaveLength(round);
      expect(await here.ok(`task next --claim --another --agent A --idempotency-key k${round}`)).toEqual(got[0]);
      expect((await here.show(task_id)).claimed_by.agent_id).toBe("A");
    }
  },
  LONG,
);

test(
  "L4: 16 processes that join with one idempotency key are one agent, and get one answer",
  async () => {
    using here = await fleet();
    for (const round of rounds(3)) {
      same(await together(16, () => here.ok(`agent join --name N --idempotency-key k${round}`)));
      same(await together(16, () => here.ok(`agent join --id B${round} --idempotency-key id${round}`)));
      expect((await here.ok("agent list")).count).toBe(2 * round);
      expect((await here.ok("events --since 0 --type agent.joined")).events).toHaveLength(2 * round);
    }
  },
  LONG,
);

test(
  "L4: 16 processes that finish, verify and reopen with one idempotency key each do it once, and get one answer",
  async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "X"], (id) => (id === "X" ? ["depends_on: [T]"] : []));
    await here.ok("task claim T --agent A");
    same(await together(16, () => here.ok("task done T --agent A --idempotency-key d")));
    expect(same(await together(16, () => here.ok("task verify T --agent A --idempotency-key v")))).toMatchObject({
      unblocked: ["X"],
    });
    const reopened = same(await together(16, () => here.ok("task reopen T --agent A --idempotency-key r")));
    expect((reopened as { reopens: string[] }).reopens).toHaveLength(1);
    // The first answer, although the task is open again.
    expect(await here.ok("task done T --agent A --idempotency-key d")).toMatchObject({ status: "done" });
    expect((await here.show("T")).status).toBe("ready");
    const types = (await here.ok("events --since 0 --task T --limit 100")).events.map(
      ({ type }: { type: string }) => type,
    );
    expect(types).toEqual(["task.claimed", "task.done", "task.verified", "task.reopened"]);
  },
  LONG,
);

test(
  "L4: 16 processes that update, release and delete with one idempotency key get one answer",
  async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "U"]);
    expect(same(await together(16, () => here.ok("task update T --add-label l --idempotency-key u")))).toMatchObject({
      updated_fields: ["labels"],
    });
    await here.ok("task claim T --agent A");
    same(await together(16, () => here.ok("task renew T --agent A --idempotency-key n")));
    same(await together(16, () => here.ok("task release T --agent A --block --idempotency-key r")));
    expect(same(await together(16, () => here.ok("task delete U --agent A --idempotency-key x")))).toMatchObject({
      count: 1,
    });
    expect(here.file().U.status).toBe("deleted");
  },
  LONG,
);

test(
  "T3 (counterexample 20): of two dependencies that are verified at once, from two worktrees, exactly one call reports the dependent",
  async () => {
    using here = await fleet();
    await here.join("A", "B");
    const ids = rounds(12).flatMap((round) => [`D1-${round}`, `D2-${round}`, `X-${round}`]);
    here.tasks(ids, (id) =>
      id.startsWith("X") ? [`depends_on: [${id.replace("X", "D1")}, ${id.replace("X", "D2")}]`] : [],
    );
    here.commit();
    const beside = join(here.base, "beside");
    here.git("worktree", "add", "-q", "-b", "feat", beside);
    for (const round of rounds(12)) {
      await Promise.all([here.ok(`task done D1-${round}`), here.ok(`task done D2-${round}`, { cwd: beside })]);
      const answers = await Promise.all([
        here.ok(`task verify D1-${round} --agent A`),
        here.ok(`task verify D2-${round} --agent B`, { cwd: beside }),
      ]);
      expect(answers.flatMap(({ unblocked }) => unblocked)).toEqual([`X-${round}`]);
      // Repeated, each gives the list that it gave.
      const again = await Promise.all([
        here.ok(`task verify D1-${round} --agent A`),
        here.ok(`task verify D2-${round} --agent B`, { cwd: beside }),
      ]);
      expect(again.map(({ unblocked }) => unblocked)).toEqual(answers.map(({ unblocked }) => unblocked));
    }
    const { events } = await here.ok("events --since 0 --type task.verified --limit 1000");
    const told = events.flatMap(({ data }: { data?: { unblocked?: string[] } }) => data?.unblocked ?? []);
    expect(told.sort()).toEqual(ids.filter((id) => id.startsWith("X")).sort());
  },
  LONG,
);

test("T3: a verification that was decided before another's commit is decided again", async () => {
  using here = await fleet();
  await here.join("A", "B");
  here.tasks(["D1", "D2", "X"], (id) => (id === "X" ? ["depends_on: [D1, D2]"] : []));
  here.commit();
  const beside = join(here.base, "beside");
  here.git("worktree", "add", "-q", "-b", "feat", beside);
  await here.ok("task done D1");
  await here.ok("task done D2");
  // Two worktrees: they do not share the spec lock.
  const first = await stoppedAt(here, "before-finish", "task verify D1 --agent A");
  expect((await here.ok("task verify D2 --agent B", { cwd: beside })).unblocked).toEqual([]);
  expect((await first.goOn()).data.unblocked).toEqual(["X"]);
});

test("T3: a verification and a reopening of the other dependency at once report nothing that is not claimable", async () => {
  using here = await fleet();
  await here.join("A", "B");
  here.tasks(["D1", "D2", "X"], (id) => (id === "X" ? ["depends_on: [D1, D2]"] : []));
  here.commit();
  const beside = join(here.base, "beside");
  here.git("worktree", "add", "-q", "-b", "feat", beside);
  await here.ok("task done D1");
  await here.ok("task done D2 --verify");
  const verifying = await stoppedAt(here, "before-finish", "task verify D1 --agent A");
  await here.ok("task reopen D2 --agent B", { cwd: beside });
  expect((await verifying.goOn()).data.unblocked).toEqual([]);
  expect((await here.ok("task next")).tasks).toMatchObject([{ id: "D2" }]);
});

test(
  "L3: of 16 processes that finish one task without a lease one does it, the others find it done",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 16 }, (_, i) => `A${i + 1}`);
    await Promise.all(ids.map((id) => here.join(id)));
    for (const round of rounds(3)) {
      here.tasks([`T${round}`]);
      const ran = await Promise.all(ids.map((id) => here.call(`task done T${round} --agent ${id}`)));
      const done = ran.filter(({ exit, json }) => exit === 0 && json.data.already !== true);
      expect(done).toHaveLength(1);
      for (const { exit, json } of ran) if (exit !== 0) expect(json.error.code).toBe("NOT_HOLDER");
      expect(here.file()[`T${round}`].completed_by).toBe(done[0]?.json.data.completed_by);
      expect((await here.ok(`events --since 0 --type task.done --task T${round}`)).events).toHaveLength(1);
    }
  },
  LONG,
);
