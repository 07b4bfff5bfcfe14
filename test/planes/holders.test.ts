/** Who may do what with a lease (L2–L5, L8), at the command line and on the real clock. */
import { describe, expect, test } from "bun:test";
import { type Fleet, fleet, until } from "../support/fleet.ts";
import { outcomes, rows } from "../support/runtime-file.ts";

const LONG = 60_000;

/** Waits until the lease on a task is over, however long the machine takes. */
const expired = (here: Fleet, id: string) =>
  until(`the lease on ${id} runs out`, async () => (await here.show(id)).claimed_by === undefined);

async function held(ttl = "15m", conventions?: string): Promise<Fleet> {
  const here = await fleet();
  await here.join("A1", "A2", "A3");
  here.tasks(["X", "Y", "Z"], undefined, conventions);
  await here.ok(`task claim X --agent A1 --ttl ${ttl}`);
  return here;
}

const eventsOf = async (here: Fleet, id: string) =>
  (await here.ok(`events --since 0 --task ${id}`)).events as {
    type: string;
    agent_id?: string;
    data?: Record<string, unknown>;
  }[];

describe("L3: done", () => {
  test(
    "(counterexample 5) without an agent is not taken for the second holder's",
    async () => {
      using here = await held("1s");
      await expired(here, "X");
      await here.ok("task claim X --agent A2");
      const error = await here.refused("AGENT_REQUIRED", "task done X");
      expect(error.details.task_id).toBe("X");
      await here.refused("LEASE_LOST", "task done X --agent A1");
      expect((await here.show("X")).claimed_by.agent_id).toBe("A2");
      expect(await here.ok("task done X --agent A2")).toMatchObject({ completed_by: "A2" });
    },
    LONG,
  );

  test("without an agent is the one holder's", async () => {
    using here = await held();
    expect(await here.ok("task done X")).toMatchObject({ status: "done", completed_by: "A1" });
    expect((await here.call("task done X")).json.data).toMatchObject({ already: true });
  });

  test("by a stranger is NOT_HOLDER, and names the holder", async () => {
    using here = await held();
    const error = await here.refused("NOT_HOLDER", "task done X --agent A2");
    expect(error.details.held_by).toMatchObject({ agent_id: "A1", task_id: "X" });
    expect((await here.call("task done X --agent A2")).exit).toBe(4);
    await here.refused("AGENT_NOT_FOUND", "task done X --agent NOBODY");
    expect(outcomes(here.path)).toEqual([]);
  });

  test(
    "by an ex-holder whose lease ran out is accepted, if nobody was granted the task since",
    async () => {
      using here = await held("1s");
      await expired(here, "X");
      await here.refused("NOT_HOLDER", "task done X --agent A2");
      expect(await here.ok("task done X --agent A1")).toMatchObject({ completed_by: "A1" });
      expect((await eventsOf(here, "X")).map(({ type }) => type)).toEqual([
        "task.claimed",
        "task.expired",
        "task.done",
      ]);
    },
    LONG,
  );

  test("by somebody who gave the task back is refused", async () => {
    using here = await held();
    await here.ok("task release X --agent A1");
    await here.refused("LEASE_LOST", "task done X --agent A1");
    await here.refused("NOT_HOLDER", "task done X --agent A2");
    expect((await here.call("task release X --agent A1")).json.data).toMatchObject({ released: true, already: true });
  });

  test("of a task that nobody held is accepted from anyone, and not of one that waits for others", async () => {
    using here = await fleet();
    await here.join("A1");
    here.tasks(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
    await here.refused("UNMET_DEPENDENCIES", "task done X --agent A1");
    expect(await here.ok("task done D --agent A1")).toMatchObject({ completed_by: "A1" });
  });

  test("with --force overrides the holder, and the event says so", async () => {
    using here = await held();
    await here.ok("task done X --agent A2 --force");
    const done = (await eventsOf(here, "X")).find(({ type }) => type === "task.done");
    expect(done).toMatchObject({ agent_id: "A2", data: { forced: true, previous_holder: "A1" } });
    for (const line of ["task renew X", "task release X"]) await here.refused("LEASE_LOST", `${line} --agent A1`);
    await here.ok("task claim Y --agent A1");
    await here.ok("task release Y --agent A2 --force");
    expect((await eventsOf(here, "Y")).at(-1)).toMatchObject({
      type: "task.released",
      data: { forced: true, previous_holder: "A1" },
    });
    await here.refused("LEASE_LOST", "task done Y --agent A1");
  });
});

describe("L4: a retry after a lost answer", () => {
  test("(counterexample 6) does not undo a reopening that came in between", async () => {
    using here = await held();
    const { claimed_by } = await here.show("X");
    await here.ok("task done X --agent A1");
    await here.ok("task reopen X --agent A2");
    const before = outcomes(here.path);
    for (const token of ["", ` --fencing-token ${claimed_by.fencing_token}`]) {
      // It was done, by this token; and it is ready again now.
      expect(await here.ok(`task done X --agent A1${token}`)).toMatchObject({ already: true, status: "ready" });
      expect((await here.show("X")).status).toBe("ready");
    }
    expect(outcomes(here.path)).toEqual(before);
    expect(here.file().X.status).toBe("ready");
  });

  test("(counterexample 7) of `next --claim` gives the lease that is held, and takes no second task", async () => {
    using here = await fleet();
    await here.join("A1");
    here.tasks(["X", "Y"]);
    const first = await here.ok("task next --claim --agent A1");
    const again = await here.ok("task next --claim --agent A1");
    expect(again).toMatchObject({ task_id: first.task_id, lease_id: first.lease_id, already: true });
    expect((await here.ok("status")).leases).toHaveLength(1);
    expect((await here.ok("task next --claim --agent A1 --another")).task_id).toBe("Y");
    // Another session is another worker.
    expect((await here.ok("task next --claim --agent A1", { env: { LODESTAR_SESSION: "s2" } })).tasks).toEqual([]);
  });

  test(
    "(counterexample 7, L8) commands about one task do not keep the lease on another alive",
    async () => {
      using here = await fleet();
      await here.join("A1");
      here.tasks(["X", "Y"]);
      await here.ok("task claim X --agent A1 --ttl 2s");
      await here.ok("task claim Y --agent A1 --ttl 2s");
      await until("X runs out while Y is renewed", async () => {
        await here.ok("task update Y --add-label l --agent A1");
        await here.ok("task update Y --remove-label l --agent A1");
        return (await here.show("X")).claimed_by === undefined;
      });
      expect((await here.show("Y")).claimed_by.agent_id).toBe("A1");
      // What was renewed on the way has no event.
      expect((await eventsOf(here, "Y")).filter(({ type }) => type === "task.renewed")).toEqual([]);
    },
    LONG,
  );

  test("of release, renew, verify, reopen and delete changes nothing", async () => {
    using here = await held();
    await here.ok("task release X --agent A1");
    await here.ok("task claim Y --agent A2");
    await here.ok("task done Y --agent A2");
    await here.ok("task verify Y --agent A3");
    const before = {
      outcomes: outcomes(here.path),
      grants: rows(here.path, "select * from lease order by fencing_token"),
    };
    expect(await here.ok("task release X --agent A1")).toMatchObject({ already: true });
    expect(await here.ok("task done Y --agent A2")).toMatchObject({ already: true, completed_by: "A2" });
    expect(await here.ok("task verify Y --agent A3")).toMatchObject({ already: true, verified_by: "A3" });
    expect(await here.ok("task reopen X --agent A1")).toMatchObject({ already: true });
    expect({
      outcomes: outcomes(here.path),
      grants: rows(here.path, "select * from lease order by fencing_token"),
    }).toEqual(before);
  });
});

describe("L2: fencing", () => {
  test(
    "a token of a lease that was lost is refused however late, and changes nothing",
    async () => {
      using here = await held("1s");
      const { claimed_by } = await here.show("X");
      await expired(here, "X");
      const second = await here.ok("task claim X --agent A2");
      const stale = second.fencing_token - 1;
      const old = claimed_by?.fencing_token ?? stale;
      for (const line of ["task done X", "task renew X", "task release X"]) {
        await here.refused("LEASE_LOST", `${line} --agent A1 --fencing-token ${old}`);
        await here.refused("LEASE_LOST", `${line} --agent A2 --fencing-token ${old}`);
        await here.refused("LEASE_LOST", `${line} --agent A2 --lease-id L-none`);
      }
      const env = { LODESTAR_TASK_ID: "X", LODESTAR_FENCING_TOKEN: String(old), LODESTAR_AGENT: "A2" };
      await here.refused("LEASE_LOST", "task done X", { env });
      // The variable speaks of its own task only.
      await here.ok("task done Y", { env });
      expect((await here.show("X")).claimed_by).toMatchObject({ agent_id: "A2", fencing_token: second.fencing_token });
      await here.ok("task done X", { env: { ...env, LODESTAR_FENCING_TOKEN: String(second.fencing_token) } });
    },
    LONG,
  );
});

describe("L5: time", () => {
  test(
    "a lease that ran out can be renewed while nobody was granted the task, and not afterwards",
    async () => {
      using here = await held("1s");
      await expired(here, "X");
      await here.ok("task renew X --agent A1 --ttl 1s");
      await here.refused("ALREADY_CLAIMED", "task claim X --agent A2");
      await expired(here, "X");
      await here.ok("task claim X --agent A2");
      await here.refused("LEASE_LOST", "task renew X --agent A1");
    },
    LONG,
  );

  test("a TTL is a lower bound: a lease is not granted expired, also after waiting for others", async () => {
    using here = await fleet();
    await here.join("A1");
    here.tasks(Array.from({ length: 24 }, (_, i) => `T${i}`));
    const claims = await Promise.all(
      Array.from({ length: 24 }, (_, i) => here.ok(`task claim T${i} --agent A1 --ttl 1m`)),
    );
    const granted = rows(here.path, "select granted_at, expires_at from lease");
    for (const { granted_at, expires_at } of granted) expect(Number(expires_at) - Number(granted_at)).toBe(60_000);
    for (const { ttl_seconds } of claims) expect(ttl_seconds).toBe(60);
  });
});

describe("verify: other", () => {
  test("who did the work may not verify it; nobody in particular may not, either", async () => {
    using here = await held("15m", "{ verify: other }");
    await here.refused("SELF_VERIFICATION", "task done X --agent A1 --verify");
    expect((await here.show("X")).status).toBe("ready");
    await here.ok("task done X --agent A1");
    const error = await here.refused("SELF_VERIFICATION", "task verify X --agent A1");
    expect(error.details).toMatchObject({ task_id: "X", agent_id: "A1" });
    await here.refused("AGENT_REQUIRED", "task verify X");
    expect((await here.ok("task next --review --agent A1")).tasks).toEqual([]);
    await here.refused("SELF_VERIFICATION", "task claim X --review --agent A1");
    expect(await here.ok("task verify X --agent A2")).toMatchObject({ verified_by: "A2" });
  });

  test("also where the work was done on another clone, and came through Git", async () => {
    using here = await held("15m", "{ verify: other }");
    await here.ok("task done X --agent A1");
    here.commit();
    const clone = `${here.base}/clone`;
    here.git("clone", "-q", here.path, clone);
    await here.ok("agent join --id A1", { cwd: clone });
    await here.refused("SELF_VERIFICATION", "task verify X --agent A1", { cwd: clone });
  });
});

describe("review leases", () => {
  test("one reviewer at a time; while that lease lives, another's verify and reopen are NOT_HOLDER", async () => {
    using here = await held();
    await here.refused("NOT_DONE", "task claim X --review --agent A2");
    await here.ok("task done X --agent A1");
    expect(await here.ok("task next --review --claim --agent A2")).toMatchObject({ task_id: "X" });
    await here.refused("ALREADY_CLAIMED", "task claim X --review --agent A3");
    await here.refused("NOT_HOLDER", "task verify X --agent A3");
    await here.refused("NOT_HOLDER", "task reopen X --agent A3");
    expect((await here.ok("task next --review --agent A3")).tasks).toEqual([]);
    expect(await here.ok("task verify X --agent A2")).toMatchObject({ status: "verified", verified_by: "A2" });
    expect((await here.ok("status")).leases).toBeUndefined();
  });

  test(
    "a reviewer that is gone stands in nobody's way",
    async () => {
      using here = await held();
      await here.ok("task done X --agent A1");
      await here.ok("task claim X --review --agent A2 --ttl 1s");
      await expired(here, "X");
      expect(await here.ok("task verify X --agent A3")).toMatchObject({ verified_by: "A3" });
    },
    LONG,
  );
});

describe("several ids: all or none", () => {
  test("a claim names each that stands in the way", async () => {
    using here = await held();
    await here.ok("task done Z --agent A3");
    const error = await here.refused("NOT_CLAIMABLE", "task claim Y Z NONE --agent A2");
    expect(
      error.details.failed.map(({ task_id, code }: { task_id: string; code: string }) => [task_id, code]).sort(),
    ).toEqual([
      ["NONE", "TASK_NOT_FOUND"],
      ["Z", "NOT_CLAIMABLE"],
    ]);
    const taken = await here.refused("ALREADY_CLAIMED", "task claim X Y --agent A2");
    expect(taken.details).toMatchObject({ task_id: "X", agent_id: "A1" });
    expect((await here.ok("status")).leases).toHaveLength(1);
    expect((await here.ok("task claim Y --agent A2")).task_id).toBe("Y");
  });

  test("a verification verifies all or none", async () => {
    using here = await held();
    await here.ok("task done Y --agent A2");
    const error = await here.refused("NOT_DONE", "task verify Y Z --agent A3");
    expect(error.details.failed ?? [error.details]).toMatchObject([{ task_id: "Z" }]);
    expect((await here.show("Y")).status).toBe("done");
    await here.ok("task done Z --agent A2");
    await here.ok("task claim Z --review --agent A2");
    await here.refused("NOT_HOLDER", "task verify Y Z --agent A3");
    expect((await here.show("Y")).status).toBe("done");
    expect(here.file().Y.status).toBe("done");
  });
});

describe("path locks", () => {
  const locks = (id: string) => (id === "Z" ? ["locks: ['docs/**']"] : ["locks: ['src/**']"]);

  async function locked(conventions: string): Promise<Fleet> {
    const here = await fleet();
    await here.join("A1", "A2");
    here.tasks(["X", "Y", "Z"], locks, conventions);
    await here.ok("task claim X --agent A1");
    return here;
  }

  test("warn: a claim that overlaps is granted with a warning; `next` takes what overlaps nothing first", async () => {
    using here = await locked("{}");
    const { tasks } = await here.ok("task next -n 3 --agent A2");
    expect(tasks.map(({ id, lock_conflict }: { id: string; lock_conflict?: unknown }) => [id, lock_conflict])).toEqual([
      ["Z", undefined],
      ["Y", { task_id: "X", agent_id: "A1" }],
    ]);
    expect((await here.ok("task next --claim --agent A2")).task_id).toBe("Z");
    const claimed = await here.call("task next --claim --another --agent A2");
    expect(claimed.json.data.task_id).toBe("Y");
    expect(claimed.json.warnings.join()).toContain("'src/**'");
  });

  test("enforce: it is refused, LOCK_CONFLICT, with who and until when; --force overrides that and nothing else", async () => {
    using here = await locked("{ locks: enforce }");
    const refused = await here.call("task claim Y --agent A2");
    expect([refused.exit, refused.json.error.code]).toEqual([4, "LOCK_CONFLICT"]);
    expect(refused.json.error.details.conflicts).toMatchObject([{ task_id: "Y", held_task_id: "X", agent_id: "A1" }]);
    await here.refused("LOCK_CONFLICT", "task claim Y Z --agent A2");
    expect((await here.ok("task next --claim --agent A2")).task_id).toBe("Z");
    expect(await here.ok("task next --claim --another --agent A2")).toMatchObject({ tasks: [] });
    await here.refused("ALREADY_CLAIMED", "task claim X --force --agent A2");
    expect((await here.ok("task claim Y --force --agent A2")).task_id).toBe("Y");
  });

  test("enforce: of 12 agents that claim overlapping tasks at once one gets one", async () => {
    using here = await fleet();
    const ids = Array.from({ length: 12 }, (_, i) => `T${i}`);
    await Promise.all(ids.map((id) => here.join(`A-${id}`)));
    here.tasks(ids, () => ["locks: ['src/**']"], "{ locks: enforce }");
    const ran = await Promise.all(ids.map((id) => here.call(`task claim ${id} --agent A-${id}`)));
    expect(ran.filter(({ exit }) => exit === 0)).toHaveLength(1);
    for (const { exit, json } of ran) if (exit !== 0) expect(json.error.code).toBe("LOCK_CONFLICT");
  });
});
