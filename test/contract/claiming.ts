import { describe, expect, test } from "bun:test";
import { DAY, MINUTE, SECOND } from "../../src/core/time.ts";
import { Bench, candidate, key, type Open, START, TTL } from "./fixture.ts";

/** L1, L2, L4, L5, L7, L8, L9: how leases come and go. */
export function claimingContract(open: Open): void {
  const bench = (body: (b: Bench) => Promise<void>) => async () => {
    const opened = await open();
    try {
      await body(new Bench(opened));
    } finally {
      opened.close();
    }
  };

  describe("claiming", () => {
    test(
      "L1: a task that is held is not granted; its lease is shown",
      bench(async (b) => {
        await b.join("A1", "A2");
        const lease = await b.hold("A1", "X");
        expect(await b.claim("A2", "X")).toEqual({ kind: "held", leases: [lease] });
        expect(await b.claim("A2", ["X"], { take: "first" })).toEqual({ kind: "none", stale: false });
        expect((await b.observe()).leases).toEqual([lease]);
      }),
    );

    test(
      "L1, L2: an expired lease passes to the next claimer with a larger token, at the very instant",
      bench(async (b) => {
        await b.join("A1", "A2");
        const first = await b.hold("A1", "X");
        expect(first.expires_at).toBe(START + TTL);
        b.clock.advance(TTL - 1);
        expect((await b.claim("A2", "X")).kind).toBe("held");
        b.clock.advance(1);
        const second = await b.hold("A2", "X");
        expect(second.fencing_token).toBeGreaterThan(first.fencing_token);
        expect(second.fencing_token).toBeGreaterThanOrEqual(second.granted_at);
      }),
    );

    test(
      "L2, counterexample 10: tokens, versions and seqs begin at the clock, above those of a lost runtime",
      bench(async (b) => {
        await b.join("A1");
        const lease = await b.hold("A1", "X");
        expect(lease.fencing_token).toBeGreaterThanOrEqual(START);
        expect((await b.events())[0]?.seq).toBeGreaterThanOrEqual(START);
      }),
    );

    test(
      "identity, counterexample 14: the same id created at another time is another task",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        const other = candidate("X", { key: key("X", "2026-01-02T00:00:00.000Z") });
        expect((await b.claim("A2", [other])).kind).toBe("granted");
        expect(await b.store.lookup(["X"])).toMatchObject([{ holders: ["A1"] }, { holders: ["A2"] }]);
      }),
    );

    test(
      "all or none: one task that is held refuses the whole claim",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "Y");
        expect((await b.claim("A2", ["X", "Y", "Z"])).kind).toBe("held");
        expect((await b.observe()).leases).toHaveLength(1);
        expect(await b.claim("A2", ["X", "Z"])).toMatchObject({
          kind: "granted",
          grants: [{ already: false }, { already: false }],
        });
      }),
    );

    test(
      "L9: take first grants the first candidate that is free",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        expect(await b.claim("A2", ["X", "Y", "Z"], { take: "first" })).toMatchObject({
          grants: [{ lease: { task_id: "Y" } }],
        });
      }),
    );

    test(
      "L4: claiming what one holds in this session renews it and returns the same lease, never shorter",
      bench(async (b) => {
        await b.join("A1");
        const lease = await b.hold("A1", "X", { ttl: 2 * TTL });
        b.clock.advance(MINUTE);
        const again = await b.claim("A1", "X");
        expect(again).toMatchObject({
          kind: "granted",
          grants: [{ already: true, lease: { lease_id: lease.lease_id } }],
        });
        expect((await b.observe()).leases[0]?.expires_at).toBe(lease.expires_at);
        b.clock.advance(2 * TTL - 2 * MINUTE);
        await b.claim("A1", "X");
        expect((await b.observe()).leases[0]?.expires_at).toBe(b.clock.now() + TTL);
        expect(await b.types("X")).toEqual(["task.claimed"]);
      }),
    );

    test(
      "L4: the same agent in another session, or for review, does not get what it holds",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "X");
        expect((await b.claim("A1", "X", { session: "s2" })).kind).toBe("held");
        expect((await b.claim("A1", "X", { kind: "review" })).kind).toBe("held");
      }),
    );

    test(
      "L4, counterexample 7: a retried next --claim returns the lease of the first",
      bench(async (b) => {
        await b.join("A1");
        const next = { take: "first", resume: true } as const;
        const first = await b.claim("A1", ["X", "Y"], next);
        expect(await b.claim("A1", ["Y"], next)).toMatchObject({
          grants: [{ already: true, lease: { task_id: "X" } }],
        });
        expect(first).toMatchObject({ grants: [{ already: false, lease: { task_id: "X" } }] });
        expect(await b.claim("A1", ["Y"], { take: "first" })).toMatchObject({
          grants: [{ already: false, lease: { task_id: "Y" } }],
        });
        expect(await b.claim("A1", ["Z"], { ...next, session: "s2" })).toMatchObject({ grants: [{ already: false }] });
      }),
    );

    test(
      "an agent that is not registered, or has left, claims nothing",
      bench(async (b) => {
        expect(await b.claim("A1", "X")).toEqual({ kind: "unknown_agent" });
        await b.join("A1");
        await b.store.leave("A1");
        expect(await b.claim("A1", "X")).toEqual({ kind: "unknown_agent" });
        await b.join("A1");
        expect((await b.claim("A1", "X")).kind).toBe("granted");
      }),
    );

    test(
      "L9, counterexample 18: an outcome recorded since the look makes its dependents stale, and nothing else",
      bench(async (b) => {
        await b.join("A1", "A2");
        const onD = candidate("X", { basis: [key("D")] });
        const early = await b.claiming("A1", [onD]);
        const first = await b.claiming("A1", [onD, candidate("Z", { basis: [key("E")] })], { take: "first" });
        await b.finish("delete", "D");
        expect(await b.store.claim(early)).toEqual({ kind: "stale", task_ids: ["X"] });
        expect(await b.store.claim(first)).toMatchObject({ kind: "granted", grants: [{ lease: { task_id: "Z" } }] });
        expect(await b.store.claim({ ...early, take: "first" })).toEqual({ kind: "none", stale: true });
        expect((await b.claim("A1", [onD])).kind).toBe("granted");
      }),
    );

    test(
      "locks: warn reports the overlap, enforce refuses it, force grants with the warning",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.claim("A1", [candidate("X", { locks: ["src/auth/**"] })]);
        const y = [candidate("Y", { locks: ["docs/*", "src/**/*.ts"] })];
        const conflict = {
          task_id: "Y",
          held_task_id: "X",
          agent_id: "A1",
          pattern: "src/**/*.ts",
          other_pattern: "src/auth/**",
        };
        expect(await b.claim("A2", y, { locks: "enforce" })).toMatchObject({ kind: "conflict", conflicts: [conflict] });
        expect((await b.observe()).leases).toHaveLength(1);
        expect(await b.claim("A2", y, { locks: "enforce", force: true })).toMatchObject({
          kind: "granted",
          grants: [{ conflicts: [conflict] }],
        });
        expect(await b.claim("A1", [candidate("W", { locks: ["src/auth/**"] })])).toMatchObject({
          grants: [{ conflicts: [{ held_task_id: "Y" }] }],
        });
      }),
    );

    test(
      "T4: take first prefers tasks without a lock conflict, and under enforce takes no other",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.claim("A1", [candidate("X", { locks: ["src/**"] })]);
        const conflicting = candidate("Y", { locks: ["src/a"] });
        expect(await b.claim("A2", [conflicting, candidate("Z")], { take: "first" })).toMatchObject({
          grants: [{ lease: { task_id: "Z" } }],
        });
        expect(await b.claim("A2", [conflicting], { take: "first", locks: "enforce" })).toEqual({
          kind: "none",
          stale: false,
        });
        expect(await b.claim("A2", [conflicting], { take: "first" })).toMatchObject({
          grants: [{ lease: { task_id: "Y" }, conflicts: [{}] }],
        });
      }),
    );

    test(
      "locks of a lease that is over are in nobody's way",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.claim("A1", [candidate("X", { locks: ["src/**"] })]);
        b.clock.advance(TTL);
        expect(await b.claim("A2", [candidate("Y", { locks: ["src/**"] })], { locks: "enforce" })).toMatchObject({
          grants: [{ conflicts: [] }],
        });
      }),
    );
  });

  describe("renewing and releasing", () => {
    test(
      "renew moves the end to now + TTL and is told; automatically only past half the TTL, and not told",
      bench(async (b) => {
        await b.join("A1");
        const lease = await b.hold("A1", "X");
        const call = { key: key("X"), ttl: TTL, agent_id: "A1", automatic: false };
        b.clock.advance(TTL / 2 - 1);
        expect((await b.store.renew({ ...call, automatic: true })).kind).toBe("unchanged");
        b.clock.advance(1);
        expect(await b.store.renew({ ...call, automatic: true })).toMatchObject({
          kind: "renewed",
          lease: { expires_at: START + TTL / 2 + TTL },
        });
        expect(await b.types("X")).toEqual(["task.claimed"]);
        expect(await b.store.renew({ ...call, ttl: MINUTE })).toMatchObject({
          lease: { expires_at: b.clock.now() + MINUTE, lease_id: lease.lease_id },
        });
        expect(await b.types("X")).toEqual(["task.claimed", "task.renewed"]);
      }),
    );

    test(
      "L2: a token, lease id or agent that does not match is LEASE_LOST and changes nothing, however late",
      bench(async (b) => {
        await b.join("A1", "A2");
        const old = await b.hold("A1", "X");
        b.clock.advance(TTL);
        const current = await b.hold("A2", "X");
        for (const claimant of [
          { agent_id: "A1" },
          { agent_id: "A1", fencing_token: old.fencing_token },
          { fencing_token: old.fencing_token },
          { agent_id: "A1", lease_id: old.lease_id },
          { agent_id: "A1", fencing_token: current.fencing_token },
          { agent_id: "A2", fencing_token: old.fencing_token },
          { agent_id: "A2", fencing_token: current.fencing_token, lease_id: old.lease_id },
          { agent_id: "A2", fencing_token: 5 },
        ]) {
          const lost = { kind: "lost", task_id: "X", current } as const;
          expect(await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, ...claimant })).toEqual(lost);
          expect(await b.store.release({ key: key("X"), force: false, how: "released", ...claimant })).toEqual(lost);
          expect((await b.finish("done", "X", claimant)).kind).toBe("lost");
        }
        expect((await b.observe()).leases).toEqual([current]);
      }),
    );

    test(
      "L3: who never held the task is not its holder; strangers are unknown",
      bench(async (b) => {
        await b.join("A1", "A2");
        const current = await b.hold("A1", "X");
        expect(await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, agent_id: "A2" })).toEqual({
          kind: "not_holder",
          task_id: "X",
          current,
        });
        expect((await b.store.release({ key: key("X"), force: false, how: "released", agent_id: "A2" })).kind).toBe(
          "not_holder",
        );
        for (const agent_id of ["A9"]) {
          expect((await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, agent_id })).kind).toBe(
            "unknown_agent",
          );
          expect((await b.store.release({ key: key("X"), force: true, how: "released", agent_id })).kind).toBe(
            "unknown_agent",
          );
          expect((await b.finish("done", "X", { agent_id })).kind).toBe("unknown_agent");
        }
      }),
    );

    test(
      "a lease that is over by time alone can be renewed while nobody was granted the task",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        b.clock.advance(TTL + MINUTE);
        await b.join("A2");
        expect(await b.types("X")).toEqual(["task.claimed", "task.expired"]);
        expect((await b.store.renew({ key: key("X"), ttl: TTL, automatic: true, agent_id: "A1" })).kind).toBe(
          "renewed",
        );
        expect(await b.types("X")).toEqual(["task.claimed", "task.expired", "task.renewed"]);
        expect((await b.claim("A2", "X")).kind).toBe("held");
      }),
    );

    test(
      "L4: giving back twice is one giving back; the agent's released tasks are known until somebody holds them",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        const call = { key: key("X"), force: false, how: "released", agent_id: "A1" } as const;
        expect(await b.store.release(call)).toMatchObject({
          kind: "released",
          already: false,
          lease: { ended: "released" },
        });
        expect(await b.store.release(call)).toMatchObject({ kind: "released", already: true });
        expect(await b.types("X")).toEqual(["task.claimed", "task.released"]);
        expect((await b.observe("A1")).released).toEqual([key("X")]);
        await b.hold("A2", "X");
        expect((await b.observe("A1")).released).toEqual([]);
        expect((await b.store.release(call)).kind).toBe("released");
        expect((await b.observe()).leases).toHaveLength(1);
      }),
    );

    test(
      "releasing after expiry ends the ex-holder's right",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "X");
        b.clock.advance(TTL);
        expect(await b.store.release({ key: key("X"), force: false, how: "released", agent_id: "A1" })).toMatchObject({
          already: true,
        });
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("lost");
      }),
    );

    test(
      "L4, L9: a grant that was stepped back is forgotten by its idempotency key: the next try is a first one",
      bench(async (b) => {
        await b.join("A1");
        const idempotency = { key: "K", input_hash: "h" };
        const first = await b.claim("A1", "X", { idempotency });
        if (first.kind !== "granted") throw new Error("The first claim was not granted.");
        const { lease_id } = first.grants[0]?.lease ?? { lease_id: "" };
        await b.store.release({ key: key("X"), force: false, how: "reverted", agent_id: "A1", lease_id });
        const second = await b.claim("A1", "X", { idempotency });
        expect(second).toMatchObject({ kind: "granted", grants: [{ already: false }] });
        expect(second).not.toMatchObject({ grants: [{ lease: { lease_id } }] });
      }),
    );

    test(
      "L9: a claim that is stepped back leaves no trace of a decision",
      bench(async (b) => {
        await b.join("A1");
        const lease = await b.hold("A1", "X");
        const { fencing_token } = lease;
        expect(await b.store.release({ key: key("X"), force: false, how: "reverted", fencing_token })).toMatchObject({
          already: false,
        });
        expect((await b.observe("A1")).released).toEqual([]);
        expect(await b.types("X")).toEqual(["task.claimed"]);
        expect((await b.store.lookup(["X"]))[0]?.holders).toEqual([]);
        expect((await b.finish("done", "X")).kind).toBe("finished");
      }),
    );

    test(
      "L3, L5: release --force ends another's lease early, and the event says so",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        expect(await b.store.release({ key: key("X"), force: true, how: "released", agent_id: "A2" })).toMatchObject({
          lease: { agent_id: "A1", ended: "forced" },
        });
        expect((await b.events("X")).at(-1)).toMatchObject({
          type: "task.released",
          agent_id: "A2",
          data: { forced: true, previous_holder: "A1" },
        });
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("lost");
      }),
    );

    test(
      "L3: with no agent the one holder is meant; after two, the agent must be said",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        expect((await b.store.renew({ key: key("X"), ttl: TTL, automatic: false })).kind).toBe("renewed");
        expect((await b.store.release({ key: key("X"), force: false, how: "released" })).kind).toBe("released");
        await b.hold("A2", "X");
        expect(await b.store.renew({ key: key("X"), ttl: TTL, automatic: false })).toMatchObject({
          kind: "agent_required",
          task_id: "X",
        });
        expect((await b.store.release({ key: key("X"), force: false, how: "released" })).kind).toBe("agent_required");
        expect((await b.store.release({ key: key("X"), force: true, how: "released" })).kind).toBe("released");
        expect((await b.store.release({ key: key("Y"), force: false, how: "released" })).kind).toBe("not_holder");
      }),
    );

    test(
      "expiry is told once, by the next writer; readers see it before",
      bench(async (b) => {
        await b.join("A1", "A2");
        const { fencing_token, lease_id } = await b.hold("A1", "X");
        b.clock.advance(TTL);
        expect((await b.observe()).leases).toEqual([]);
        expect(await b.types("X")).toEqual(["task.claimed"]);
        await b.store.heartbeat("A2");
        await b.store.heartbeat("A2");
        expect(await b.events("X")).toMatchObject([
          {},
          { type: "task.expired", agent_id: "A1", data: { fencing_token, lease_id } },
        ]);
      }),
    );
  });

  describe("time", () => {
    test(
      "L5, counterexample 9: a clock that jumps a day ahead and is corrected goes on at normal speed",
      bench(async (b) => {
        await b.join("A1");
        b.clock.advance(DAY);
        await b.hold("A1", "X");
        b.clock.advance(-DAY);
        expect((await b.observe()).leases).toHaveLength(1);
        await b.store.heartbeat("A1");
        b.clock.advance(TTL - 1);
        expect((await b.observe()).leases).toHaveLength(1);
        b.clock.advance(1);
        expect((await b.observe()).leases).toEqual([]);
        expect((await b.store.info()).clock_offset).toBe(DAY);
      }),
    );

    test(
      "L5: time and tokens never go back, however the wall clock steps",
      bench(async (b) => {
        await b.join("A1");
        let last = 0;
        let token = 0;
        for (const [i, step] of [5000, -3000, 1, -100_000, 70_000, 0, 31_000].entries()) {
          b.clock.advance(step);
          const lease = await b.hold("A1", `X${i}`);
          const { now } = await b.second().observe({ since: 0, worktree: "/repo", branch: "main" });
          expect(now).toBeGreaterThanOrEqual(last);
          expect(lease.granted_at).toBe(now);
          expect(lease.fencing_token).toBeGreaterThan(token);
          last = now;
          token = lease.fencing_token;
        }
      }),
    );
  });

  describe("waiting", () => {
    const ticket = (ticket_id: string, filter = "") => ({ ticket_id, filter, worktree: "/repo" });

    test(
      "L7: first come is first served among waiters with one filter and worktree",
      bench(async (b) => {
        await b.join("A1", "A2");
        expect(await b.store.queue(ticket("T1"))).toEqual({ first: true });
        expect(await b.store.queue(ticket("T2"))).toEqual({ first: false });
        expect(await b.store.queue(ticket("T3", "backend"))).toEqual({ first: true });
        expect(await b.claim("A2", "X", { take: "first", ticket: ticket("T2") })).toEqual({ kind: "queued" });
        expect((await b.claim("A1", "X", { take: "first", ticket: ticket("T1") })).kind).toBe("granted");
        expect(await b.store.queue(ticket("T2"))).toEqual({ first: true });
        await b.store.dequeue("T2");
        expect(await b.store.queue(ticket("T4"))).toEqual({ first: true });
      }),
    );

    test(
      "L7: a ticket that was not shown for 3 s is dropped, and comes back at the end",
      bench(async (b) => {
        await b.store.queue(ticket("T1"));
        b.clock.advance(2 * SECOND);
        expect(await b.store.queue(ticket("T2"))).toEqual({ first: false });
        b.clock.advance(SECOND);
        expect(await b.store.queue(ticket("T2"))).toEqual({ first: true });
        expect(await b.store.queue(ticket("T1"))).toEqual({ first: false });
      }),
    );

    test(
      "tickets leave no event",
      bench(async (b) => {
        await b.store.queue(ticket("T1"));
        expect(await b.events()).toEqual([]);
      }),
    );
  });
}
