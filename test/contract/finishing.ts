import { describe, expect, test } from "bun:test";
import { Bench, candidate, DONE, key, type Open, TTL, VERIFIED } from "./fixture.ts";

/** L3, L4, T2, T3: who may record which outcome, once. */
export function finishingContract(open: Open): void {
  const bench = (body: (b: Bench) => Promise<void>) => async () => {
    const opened = await open();
    try {
      await body(new Bench(opened));
    } finally {
      opened.close();
    }
  };

  describe("done", () => {
    test(
      "T2: the holder's done records outcome, end of lease, event, note and outbox row in one step",
      bench(async (b) => {
        await b.join("A1", "A2");
        const lease = await b.hold("A1", "X");
        const completed_in = { branch: "feat", commit: "abc" };
        const note = { text: "mind the gap", message_id: "M1" };
        const result = await b.finish("done", "X", { agent_id: "A1", step: { completed_in, note } });
        const outcome = {
          task_id: "X",
          ...DONE,
          completed_by: "A1",
          completed_in,
          worktree: "/repo",
          branch: "main",
          version: 1,
        };
        expect(result).toMatchObject({ kind: "finished", finished: [{ already: false, outcome }] });
        const seen = await b.observe("A2");
        expect(seen).toMatchObject({
          leases: [],
          outcomes: [outcome],
          outbox_waiting: true,
          version: 1,
          message_count: 1,
        });
        expect(await b.types("X")).toEqual(["task.claimed", "task.done", "message.sent"]);
        expect((await b.events("X"))[1]).toMatchObject({
          agent_id: "A1",
          data: { fencing_token: lease.fencing_token },
        });
        expect((await b.store.messages({ task_id: "X", order: "newest", limit: 10 })).messages).toMatchObject([
          { message_id: "M1", severity: "handoff", from_agent_id: "A1" },
        ]);
        const [row] = await b.store.outbox();
        expect(row).toMatchObject({ ...outcome, change: "done", target_worktree: "/repo", target_branch: "main" });
        await b.store.adopt([row?.outbox_id ?? 0], "/other", "feat");
        expect(await b.store.outbox()).toMatchObject([
          { target_worktree: "/other", target_branch: "feat", worktree: "/repo" },
        ]);
        await b.store.settle([row?.outbox_id ?? 0]);
        expect(await b.store.outbox()).toEqual([]);
      }),
    );

    test(
      "T2: a verification elsewhere does not alter a done that waits",
      bench(async (b) => {
        await b.finish("done", "X");
        await b.finish("verify", "X", { worktree: "/other" });
        expect(await b.store.outbox()).toMatchObject([
          { change: "done", rank: 1, target_worktree: "/repo" },
          { change: "verify", rank: 2, target_worktree: "/other" },
        ]);
      }),
    );

    test(
      "L3: an ex-holder by expiry may finish while nobody was granted the task since",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "X");
        b.clock.advance(10 * TTL);
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("finished");
      }),
    );

    test(
      "L3: another's grant since, even one that is over, ends the ex-holder's right",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        b.clock.advance(TTL);
        const current = await b.hold("A2", "X");
        expect(await b.finish("done", "X", { agent_id: "A1" })).toEqual({ kind: "lost", task_id: "X", current });
        b.clock.advance(TTL);
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("lost");
        expect((await b.finish("done", "X", { agent_id: "A2" })).kind).toBe("finished");
      }),
    );

    test(
      "L3: who never held it is refused while it is held, and once it was held in this round",
      bench(async (b) => {
        await b.join("A1", "A2");
        const current = await b.hold("A1", "X");
        expect(await b.finish("done", "X", { agent_id: "A2" })).toEqual({ kind: "not_holder", task_id: "X", current });
        b.clock.advance(TTL);
        expect(await b.finish("done", "X", { agent_id: "A2" })).toEqual({ kind: "not_holder", task_id: "X" });
      }),
    );

    test(
      "L3: a claimable task that was never held is finished by anyone, also by nobody named",
      bench(async (b) => {
        await b.join("A1");
        expect(await b.finish("done", "X", { agent_id: "A1" })).toMatchObject({
          finished: [{ outcome: { completed_by: "A1" } }],
        });
        const result = await b.finish("done", "Y");
        expect(result.kind === "finished" && result.finished[0]?.outcome.completed_by).toBeUndefined();
        expect(await b.finish("done", "Z", { step: { claimable: false } })).toEqual({
          kind: "not_claimable",
          task_id: "Z",
        });
      }),
    );

    test(
      "L3, counterexample 5: done without an agent is not taken for the second holder's",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        b.clock.advance(TTL);
        const current = await b.hold("A2", "X");
        expect(await b.finish("done", "X")).toMatchObject({ kind: "agent_required", task_id: "X" });
        expect((await b.observe()).leases).toEqual([current]);
      }),
    );

    test(
      "L3: with one holder since the task became ready, it is assumed",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "X");
        expect(await b.finish("done", "X")).toMatchObject({ finished: [{ outcome: { completed_by: "A1" } }] });
      }),
    );

    test(
      "L4: a repeat by the token that made it is already, any other stale token is lost",
      bench(async (b) => {
        await b.join("A1");
        const old = await b.hold("A1", "X");
        b.clock.advance(TTL);
        const lease = await b.hold("A1", "X");
        const { fencing_token } = lease;
        await b.finish("done", "X", { agent_id: "A1", fencing_token });
        const before = await b.observe();
        expect(await b.finish("done", "X", { agent_id: "A1", fencing_token })).toMatchObject({
          finished: [{ already: true, outcome: { version: 1 } }],
        });
        expect(await b.finish("done", "X", { agent_id: "A1" })).toMatchObject({ finished: [{ already: true }] });
        // With the work done, the rank alone says `already`; before that, the stale token is refused.
        await b.finish("reopen", "X");
        expect((await b.finish("done", "X", { agent_id: "A1", fencing_token: old.fencing_token })).kind).toBe("lost");
        expect((await b.observe()).outcomes[0]?.version).toBe((before.outcomes[0]?.version ?? 0) + 1);
      }),
    );

    test(
      "L4, counterexample 6: a retried done after a reopen undoes nothing, also when its basis is stale",
      bench(async (b) => {
        await b.join("A1", "A2");
        const { fencing_token } = await b.hold("A1", "X");
        const call = await b.finishing("done", "X", { agent_id: "A1", fencing_token });
        expect((await b.store.finish(call)).kind).toBe("finished");
        await b.finish("reopen", "X", { agent_id: "A2" });
        const repeat = { finished: [{ already: true, outcome: { rank: 0, reopens: ["r1"] } }] };
        expect(await b.store.finish(call)).toMatchObject(repeat);
        expect(await b.finish("done", "X", { agent_id: "A1" })).toMatchObject(repeat);
        expect((await b.observe()).outcomes).toMatchObject([{ rank: 0, reopens: ["r1"] }]);
        expect(
          await b.store.finish({
            ...call,
            steps: call.steps.map((step) => ({ ...step, note: { text: "x", message_id: "M" } })),
          }),
        ).toMatchObject(repeat);
        expect((await b.observe()).message_count).toBe(0);
      }),
    );

    test(
      "done by another than who did it is refused; by nobody named it is already",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.finish("done", "X", { agent_id: "A1" });
        expect(await b.finish("done", "X", { agent_id: "A2" })).toEqual({ kind: "not_holder", task_id: "X" });
        expect(await b.finish("done", "X")).toMatchObject({ finished: [{ already: true }] });
        const throughGit = { step: { before: DONE, spec_completed_by: "A1" } };
        expect((await b.finish("done", "Y", { agent_id: "A2", ...throughGit })).kind).toBe("not_holder");
        expect(await b.finish("done", "Y", { agent_id: "A1", ...throughGit })).toMatchObject({
          finished: [{ already: true, outcome: { ...DONE, version: 0, completed_by: "A1" } }],
        });
        expect(await b.store.outcomes(0)).toHaveLength(1);
      }),
    );

    test(
      "L3: done --force overrides the holder, and the event names it",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        expect(await b.finish("done", "X", { agent_id: "A2", force: true })).toMatchObject({
          finished: [{ outcome: { completed_by: "A2" } }],
        });
        expect((await b.events("X")).at(-1)).toMatchObject({
          type: "task.done",
          agent_id: "A2",
          data: { forced: true, previous_holder: "A1" },
        });
        await b.finish("reopen", "X");
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("finished");
        expect((await b.observe()).leases).toEqual([]);
      }),
    );

    test(
      "a reviewer's lease does not finish work",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "X", { kind: "review" });
        expect((await b.finish("done", "X", { agent_id: "A1" })).kind).toBe("not_holder");
      }),
    );

    test(
      "all steps or none: a refusal takes back what came before it",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A2", "Y");
        const x = await b.finishing("done", "X", { agent_id: "A1", step: { note: { text: "n", message_id: "M1" } } });
        const y = await b.finishing("done", "Y");
        const before = await b.events();
        expect((await b.store.finish({ ...x, steps: [...x.steps, ...y.steps] })).kind).toBe("not_holder");
        expect(await b.observe()).toMatchObject({ outcomes: [], message_count: 0, outbox_waiting: false });
        expect(await b.events()).toEqual(before);
      }),
    );

    test(
      "L9: a step whose basis changed is stale",
      bench(async (b) => {
        const call = await b.finishing("verify", "X", { step: { before: DONE, basis: [key("D")] } });
        await b.finish("done", "D");
        expect(await b.store.finish(call)).toEqual({ kind: "stale", task_ids: ["X"] });
        expect((await b.store.finish({ ...call, seen: 1 })).kind).toBe("finished");
      }),
    );
  });

  describe("verify, reopen, delete", () => {
    test(
      "T3: verify records what it made claimable, and the repeat returns the recorded list",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.finish("done", "X", { agent_id: "A1" });
        const first = await b.finish("verify", "X", { agent_id: "A2", step: { unblocked: ["Y", "Z"] } });
        const outcome = { ...VERIFIED, completed_by: "A1", verified_by: "A2", unblocked: ["Y", "Z"] };
        expect(first).toMatchObject({ finished: [{ already: false, outcome }] });
        expect(await b.finish("verify", "X", { agent_id: "A2", step: { unblocked: [] } })).toMatchObject({
          finished: [{ already: true, outcome }],
        });
        expect((await b.events("X")).at(-1)).toMatchObject({ type: "task.verified", data: { unblocked: ["Y", "Z"] } });
      }),
    );

    test(
      "T3, counterexample 20: of two verifications at once, the second looks again",
      bench(async (b) => {
        for (const id of ["D1", "D2"]) await b.finish("done", id);
        const one = await b.finishing("verify", "D1", { step: { basis: [key("D2")] } });
        const two = await b.finishing("verify", "D2", { step: { basis: [key("D1")] } });
        expect((await b.store.finish(one)).kind).toBe("finished");
        expect(await b.second().finish(two)).toEqual({ kind: "stale", task_ids: ["D2"] });
      }),
    );

    test(
      "only done work is verified",
      bench(async (b) => {
        expect(await b.finish("verify", "X")).toEqual({ kind: "not_claimable", task_id: "X" });
        await b.finish("delete", "X");
        expect((await b.finish("verify", "X")).kind).toBe("not_claimable");
        expect((await b.finish("done", "X")).kind).toBe("not_claimable");
      }),
    );

    test(
      "while a reviewer's lease lives, another's verify or reopen is refused; force overrides",
      bench(async (b) => {
        await b.join("A1", "A2", "A3");
        await b.finish("done", "X", { agent_id: "A1" });
        const current = await b.hold("A2", "X", { kind: "review" });
        for (const change of ["verify", "reopen"] as const) {
          expect(await b.finish(change, "X", { agent_id: "A3" })).toEqual({
            kind: "not_holder",
            task_id: "X",
            current,
          });
          expect((await b.finish(change, "X")).kind).toBe("agent_required");
        }
        expect((await b.finish("verify", "X", { agent_id: "A3", force: true })).kind).toBe("finished");
        expect((await b.events("X")).at(-1)).toMatchObject({ data: { forced: true, previous_holder: "A2" } });
        expect((await b.observe()).leases).toEqual([]);
      }),
    );

    test(
      "L4: the reviewer's own verify ends its lease; repeated after a reopen it changes nothing",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.finish("done", "X", { agent_id: "A1" });
        const { fencing_token } = await b.hold("A2", "X", { kind: "review" });
        await b.finish("verify", "X", { agent_id: "A2", fencing_token });
        await b.finish("reopen", "X", { agent_id: "A1" });
        await b.finish("done", "X", { agent_id: "A1" });
        const repeat = { finished: [{ already: true, outcome: { rank: 1 } }] };
        expect(await b.finish("verify", "X", { agent_id: "A2", fencing_token })).toMatchObject(repeat);
        // Without the token it is a new verification of the new round.
        expect(await b.finish("verify", "X", { agent_id: "A2" })).toMatchObject({ finished: [{ already: false }] });
      }),
    );

    test(
      "verify: other refuses who did the work, and nobody named",
      bench(async (b) => {
        await b.join("A1", "A2");
        const other = { verify: "other" } as const;
        await b.finish("done", "X", { agent_id: "A1" });
        expect(await b.finish("verify", "X", { agent_id: "A1", ...other })).toEqual({
          kind: "self_verification",
          task_id: "X",
          agent_id: "A1",
        });
        expect((await b.finish("verify", "X", other)).kind).toBe("agent_required");
        expect((await b.finish("done_verify", "Y", { agent_id: "A1", ...other })).kind).toBe("self_verification");
        const throughGit = { step: { before: DONE, spec_completed_by: "A1" } };
        expect((await b.finish("verify", "Z", { agent_id: "A1", ...other, ...throughGit })).kind).toBe(
          "self_verification",
        );
        expect((await b.finish("verify", "X", { agent_id: "A2", ...other })).kind).toBe("finished");
      }),
    );

    test(
      "done and verify in one step are two events and one outcome",
      bench(async (b) => {
        await b.join("A1");
        const { fencing_token } = await b.hold("A1", "X");
        const call = { agent_id: "A1", fencing_token };
        expect(await b.finish("done_verify", "X", call)).toMatchObject({
          finished: [{ outcome: { ...VERIFIED, completed_by: "A1", verified_by: "A1" } }],
        });
        expect(await b.types("X")).toEqual(["task.claimed", "task.done", "task.verified"]);
        expect(await b.finish("done_verify", "X", call)).toMatchObject({ finished: [{ already: true }] });
        expect(await b.finish("done", "X", call)).toMatchObject({ finished: [{ already: true }] });
      }),
    );

    test(
      "reopen takes away who completed and verified it, and starts a round in which nobody has held it",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        await b.finish("done_verify", "X", { agent_id: "A1" });
        const result = await b.finish("reopen", "X", { agent_id: "A2" });
        const outcome = result.kind === "finished" ? result.finished[0]?.outcome : undefined;
        expect(outcome).toMatchObject({ rank: 0, reopens: ["r1"] });
        expect(Object.keys(outcome ?? {})).not.toContain("completed_by");
        expect(Object.keys(outcome ?? {})).not.toContain("verified_at");
        expect(await b.finish("reopen", "X", { agent_id: "A2" })).toMatchObject({ finished: [{ already: true }] });
        expect((await b.finish("done", "X", { agent_id: "A2" })).kind).toBe("finished");
      }),
    );

    test(
      "L3: reopening ends the right that expiry had left",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        b.clock.advance(TTL);
        await b.finish("reopen", "X", { agent_id: "A2", step: { before: DONE } });
        expect((await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, agent_id: "A1" })).kind).toBe("lost");
        const round = candidate("X", { reopens: ["r1"] });
        expect((await b.claim("A2", [round])).kind).toBe("granted");
      }),
    );

    test(
      "L5: delete ends whoever's lease, and the event says so; the holder's done is lost",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        expect(await b.finish("delete", "X", { agent_id: "A2" })).toMatchObject({
          finished: [{ outcome: { rank: 3 } }],
        });
        expect((await b.events("X")).at(-1)).toMatchObject({
          type: "task.deleted",
          data: { forced: true, previous_holder: "A1" },
        });
        expect((await b.observe()).leases).toEqual([]);
        expect(await b.finish("delete", "X", { agent_id: "A2" })).toMatchObject({ finished: [{ already: true }] });
        expect((await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, agent_id: "A1" })).kind).toBe("lost");
      }),
    );

    test(
      "T3, counterexample 17: deleting verified work keeps that it was verified, and by whom",
      bench(async (b) => {
        await b.join("A1");
        await b.finish("done_verify", "X", { agent_id: "A1" });
        expect(await b.finish("delete", "X")).toMatchObject({
          finished: [{ outcome: { rank: 3, verified: true, verified_by: "A1" } }],
        });
      }),
    );

    test(
      "many ids looked up at once: whatever is known of each, a lease, an outcome, a message or nothing",
      bench(async (b) => {
        await b.join("A1");
        await b.hold("A1", "LEASED");
        await b.finish("done_verify", "FINISHED");
        await b.store.send({ message_id: "M", from_agent_id: "A1", task_id: "SPOKEN", text: "x" });
        const ids = ["NOTHING", "LEASED", "FINISHED", "SPOKEN"];
        const together = await b.store.lookup(ids);
        expect(together.map(({ key }) => key.task_id)).toEqual(["LEASED", "FINISHED", "SPOKEN"]);
        expect(together).toEqual((await Promise.all(ids.map((id) => b.store.lookup([id])))).flat());
      }),
    );
  });
}
