/** Many processes want the same tasks. */
import { expect, test } from "bun:test";
import { type Fleet, fleet, rounds, stoppedAt, tally, together, until } from "../support/fleet.ts";
import { whileReading } from "../support/readers.ts";

const LONG = 120_000;
const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i + 1).padStart(2, "0")}`);

async function withAgents(count: number): Promise<Fleet> {
  const here = await fleet();
  // Few processes: what is tested comes after. Their joining at once is tested with the first write.
  for (let at = 0; at < count; at += 8)
    await Promise.all(
      names("A", count)
        .slice(at, at + 8)
        .map((id) => here.join(id)),
    );
  return here;
}

test(
  "L1: of 64 processes that claim one task exactly one gets it; each other learns who has it, and until when",
  async () => {
    using here = await withAgents(64);
    const tokens: number[] = [];
    for (const round of rounds(4)) {
      here.tasks([`T${round}`]);
      await whileReading(here, async () => {
        const ran = await Promise.all(names("A", 64).map((id) => here.call(`task claim T${round} --agent ${id}`)));
        const winners = ran.filter(({ exit }) => exit === 0);
        expect(tally(ran.map(({ exit }) => exit))).toEqual({ 0: 1, 4: 63 });
        const { agent_id, expires_at, fencing_token } = winners[0]?.json.data ?? {};
        tokens.push(fencing_token);
        for (const { exit, json, stderr } of ran) {
          expect(stderr).toBe("");
          if (exit === 0) continue;
          expect(json.error).toMatchObject({
            code: "ALREADY_CLAIMED",
            retriable: true,
            details: { task_id: `T${round}`, agent_id, expires_at },
          });
        }
      });
    }
    // L2: every later grant has the larger token.
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    const { events } = await here.ok("events --since 0 --type task.claimed --limit 1000");
    expect(events).toHaveLength(tokens.length);
  },
  LONG,
);

test(
  "L9: 32 agents that take the next task at once get 32 different tasks",
  async () => {
    using here = await withAgents(32);
    for (const round of rounds(3)) {
      here.tasks(names(`R${round}-`, 32));
      const got = await whileReading(here, () =>
        Promise.all(names("A", 32).map((id) => here.ok(`task next --claim --agent ${id} --another`))),
      );
      expect(new Set(got.map(({ task_id }) => task_id)).size).toBe(32);
      expect(new Set(got.map(({ fencing_token }) => fencing_token)).size).toBe(32);
      expect((await here.ok("status")).tasks.claimable).toBe(0);
    }
  },
  LONG,
);

test(
  "L9: with fewer tasks than agents each task is given once, and the others are told that nothing is left",
  async () => {
    using here = await withAgents(24);
    for (const round of rounds(2)) {
      const ids = names(`R${round}-`, 8);
      here.tasks(ids);
      const got = await Promise.all(names("A", 24).map((id) => here.ok(`task next --claim --agent ${id} --another`)));
      const given = got.flatMap(({ task_id }) => task_id ?? []);
      expect(given.sort()).toEqual(ids);
      for (const answer of got.filter(({ task_id }) => task_id === undefined)) {
        expect(answer).toMatchObject({ tasks: [], total_claimable: 0, remaining: { claimed: 8 } });
      }
    }
  },
  LONG,
);

test(
  "L1: of several tasks a claim gets all or none, whatever the order in which others name them",
  async () => {
    using here = await withAgents(16);
    for (const round of rounds(3)) {
      const [a, b, c] = [`A-${round}`, `B-${round}`, `C-${round}`];
      here.tasks([a, b, c]);
      const orders = [`${a} ${b} ${c}`, `${c} ${b} ${a}`, `${b} ${c}`, `${c} ${a}`];
      const ran = await Promise.all(
        names("A", 16).map((id, i) => here.call(`task claim ${orders[i % orders.length]} --agent ${id}`)),
      );
      expect(ran.every(({ exit }) => exit === 0 || exit === 4)).toBe(true);
      const won = ran.filter(({ exit }) => exit === 0).flatMap(({ json }) => json.data.claims);
      expect(new Set(won.map(({ task_id }) => task_id)).size).toBe(won.length);
      // Of these orders any two share a task: one caller won, and holds all that it named.
      const holders = new Set(won.map(({ agent_id }) => agent_id));
      expect(holders.size).toBe(1);
      const { leases } = await here.ok("status");
      const held = (leases as { task_id: string }[]).filter(({ task_id }) => [a, b, c].includes(task_id));
      expect(held).toHaveLength(won.length);
    }
  },
  LONG,
);

test(
  "L1: when a lease runs out, of 16 processes that are waiting to claim exactly one is next, with a larger token",
  async () => {
    using here = await withAgents(17);
    for (const round of rounds(2)) {
      here.tasks([`T${round}`]);
      const first = await here.ok(`task claim T${round} --agent A17 --ttl 1s`);
      const ran = await Promise.all(
        names("A", 16).map((id) =>
          here.call(`task claim T${round} --agent ${id} --wait 20s --ttl 1m`).then(async (one) => {
            // The winner gives way, so that the others need not wait for their time to be over.
            if (one.exit === 0) await here.ok(`task done T${round} --agent ${id}`);
            return one;
          }),
        ),
      );
      const won = ran.filter(({ exit }) => exit === 0);
      expect(won).toHaveLength(1);
      expect(won[0]?.json.data.fencing_token).toBeGreaterThan(first.fencing_token);
      for (const { json } of ran.filter(({ exit }) => exit !== 0)) expect(json.error.code).toBe("NOT_CLAIMABLE");
    }
  },
  LONG,
);

test("L9 (counterexample 18): a dependency that was acknowledged before the grant keeps the task from being granted", async () => {
  using here = await withAgents(2);
  here.tasks(["X", "Y"]);
  const claiming = await stoppedAt(here, "before-grant", "task claim X --agent A01");
  await here.ok("task update X --add-dep Y");
  const { ok, error } = await claiming.goOn();
  expect({ ok, code: error?.code, blocked_by: error?.details.blocked_by }).toEqual({
    ok: false,
    code: "UNMET_DEPENDENCIES",
    blocked_by: ["Y"],
  });
  expect((await here.ok("status")).leases).toBeUndefined();

  const taking = await stoppedAt(here, "before-grant", "task next --claim --agent A02");
  await here.ok("task update Y --status blocked");
  expect((await taking.goOn()).data).toMatchObject({ tasks: [], total_claimable: 0 });
  expect((await here.ok("status")).leases).toBeUndefined();
});

test("L9: an outcome that was recorded after the look is seen by the grant", async () => {
  using here = await withAgents(2);
  here.tasks(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
  await here.ok("task done D --agent A02 --verify");
  const claiming = await stoppedAt(here, "before-grant", "task claim X --agent A01");
  await here.ok("task reopen D --agent A02");
  expect((await claiming.goOn()).error).toMatchObject({ code: "UNMET_DEPENDENCIES", details: { blocked_by: ["D"] } });

  const late = await stoppedAt(here, "before-grant", "task claim D --agent A01");
  await here.ok("task delete D --cascade --agent A02");
  expect((await late.goOn()).error).toMatchObject({ code: "NOT_CLAIMABLE", details: { status: "deleted" } });
});

test("L9: the file may be replaced by Git between look and grant; what is gone is not granted", async () => {
  using here = await withAgents(1);
  here.tasks(["X", "Y"]);
  here.commit();
  here.git("checkout", "-q", "-b", "other");
  here.tasks(["Y"]);
  here.commit();
  here.git("checkout", "-q", "main");
  const taking = await stoppedAt(here, "before-grant", "task next --claim --agent A01");
  here.git("checkout", "-q", "other");
  expect((await taking.goOn()).data).toMatchObject({ task_id: "Y" });
  expect((await here.ok("status")).leases).toMatchObject([{ task_id: "Y" }]);
});

test("L1: a process that dies before its grant leaves nothing behind, one that dies after it leaves its lease", async () => {
  using here = await withAgents(2);
  here.tasks(["X"]);
  await here.killedAt("before-grant", "task claim X --agent A01");
  const lease = await here.ok("task claim X --agent A02");
  // L4: the same agent in the same session gets the same lease again.
  expect(await here.ok("task claim X --agent A02")).toMatchObject({ lease_id: lease.lease_id, already: true });
});

test("L4: the same agent in two sessions is two claimers", async () => {
  using here = await withAgents(1);
  here.tasks(["X"]);
  const ran = await together(12, (n) =>
    here.call("task claim X --agent A01", { env: { LODESTAR_SESSION: `s${n % 4}` } }),
  );
  const leases = new Set(ran.filter(({ exit }) => exit === 0).map(({ json }) => json.data.lease_id));
  expect(leases.size).toBe(1);
  expect(tally(ran.map(({ exit }) => exit))).toEqual({ 0: 3, 4: 9 });
  for (const { json } of ran) if (!json.ok) expect(json.error.code).toBe("ALREADY_CLAIMED");
});

test(
  "L1: at no time do two agents believe to hold one task, while they claim, release and finish without pause",
  async () => {
    using here = await withAgents(8);
    here.tasks(["X"]);
    let holder: string | undefined;
    let grants = 0;
    const wanted = 24 * rounds(1).length;
    await Promise.all(
      names("A", 8).map(async (id) => {
        while (grants < wanted) {
          const ran = await here.call(`task claim X --agent ${id}`);
          if (ran.exit !== 0) {
            expect(ran.json.error.code).toBe("ALREADY_CLAIMED");
            continue;
          }
          expect({ id, holder }).toEqual({ id, holder: undefined });
          holder = id;
          grants += 1;
          await until("the others have looked", () => true);
          holder = undefined;
          await here.ok(`task release X --agent ${id} --fencing-token ${ran.json.data.fencing_token}`);
        }
      }),
    );
    const { events } = await here.ok("events --since 0 --task X --limit 1000");
    let held: string | undefined;
    for (const { type, agent_id } of events) {
      if (type === "task.claimed") {
        expect({ type, agent_id, held }).toEqual({ type, agent_id, held: undefined });
        held = agent_id;
      } else if (type === "task.released") {
        expect({ type, agent_id, held }).toEqual({ type, agent_id, held: agent_id });
        held = undefined;
      }
    }
  },
  LONG,
);

test("T4: a task that overlaps nobody's locks comes before any number that do; when nothing else is left one of those is given", async () => {
  using here = await withAgents(2);
  const overlapping = names("T", 9);
  for (const id of overlapping) await here.ok(`task create --id ${id} --title T --priority 1 --lock src/**`);
  await here.ok("task create --id FREE --title T --priority 900");
  // More overlap than are looked at first; and only from the moment between the look and the grant on.
  const taking = await stoppedAt(here, "before-grant", "task next --claim --agent A02");
  await here.ok("task claim T01 --agent A01");
  const taken = await taking.goOn();
  expect(taken).toMatchObject({ ok: true, data: { task_id: "FREE" } });
  expect((await here.ok("task next --claim --another --agent A02")).task_id).toBe("T02");
});
