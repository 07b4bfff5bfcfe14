import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { Change, RuntimeSnapshot } from "../../src/runtime/store.ts";
import { Bench, key, type Open, START, TTL, VERIFIED } from "./fixture.ts";

/** Snapshots and their way back. */
export function exchangingContract(open: Open): void {
  const two = (body: (from: Bench, to: Bench) => Promise<void>) => async () => {
    const opened = [await open(), await open()] as const;
    try {
      await body(new Bench(opened[0]), new Bench(opened[1]));
    } finally {
      for (const each of opened) each.close();
    }
  };
  const moved = async (from: Bench, to: Bench) => {
    to.clock.set(from.clock.now());
    expect(await to.store.restore(await from.store.snapshot(), [])).toEqual({ kind: "restored" });
  };

  describe("snapshot and restore", () => {
    test(
      "an empty runtime's snapshot is restored into an empty runtime",
      two(async (from, to) => {
        await moved(from, to);
        expect(await to.store.snapshot()).toEqual(await from.store.snapshot());
      }),
    );

    test(
      "L2, L5: a restored lease expires at its instant, is renewed and finished by its token, and no later token is smaller",
      two(async (from, to) => {
        await from.join("A1", "A2");
        const lease = await from.hold("A1", "X");
        const other = await from.hold("A2", "Y");
        await moved(from, to);
        expect((await to.observe()).leases).toEqual([lease, other]);
        expect(await to.claim("A2", "X")).toMatchObject({ kind: "held", leases: [{ agent_id: "A1" }] });
        const renewed = await to.store.renew({
          key: key("X"),
          agent_id: "A1",
          fencing_token: lease.fencing_token,
          ttl: TTL,
          automatic: false,
        });
        expect(renewed).toMatchObject({ kind: "renewed" });
        to.clock.set(other.expires_at);
        const next = await to.hold("A1", "Y", { lease_ids: ["L90"] });
        expect(next.fencing_token).toBeGreaterThan(other.fencing_token);
        expect(await to.types("Y")).toEqual(["task.claimed", "task.expired", "task.claimed"]);
        expect(await to.finish("done", "Y", { agent_id: "A2", fencing_token: other.fencing_token })).toMatchObject({
          kind: "lost",
        });
      }),
    );

    test(
      "a lease that ran out on the way is over when it is looked at, and its event is written once",
      two(async (from, to) => {
        await from.join("A1");
        const { expires_at } = await from.hold("A1", "X");
        const snapshot = await from.store.snapshot();
        to.clock.set(expires_at + HOUR);
        await to.store.restore(snapshot, []);
        expect((await to.observe()).leases).toEqual([]);
        await to.join("A2");
        await to.join("A2");
        expect((await to.types("X")).filter((type) => type === "task.expired")).toEqual(["task.expired"]);
      }),
    );

    test(
      "L5: time goes on from the snapshot where this machine's clock is behind, so that a lease is not longer than it was",
      two(async (from, to) => {
        await from.join("A1");
        from.clock.advance(HOUR);
        const { expires_at } = await from.hold("A1", "X");
        await to.store.restore(await from.store.snapshot(), []);
        expect((await to.observe()).now).toBe(START + HOUR);
        to.clock.advance(expires_at - (START + HOUR) - 1);
        expect((await to.observe()).leases).toHaveLength(1);
        to.clock.advance(1);
        expect((await to.observe()).leases).toEqual([]);
      }),
    );

    test(
      "tokens and seqs go on from the snapshot's counters even where they ran ahead of every clock",
      two(async (from, to) => {
        await from.join("A1");
        const snapshot = { ...(await from.store.snapshot()), last_token: START + 5000, last_seq: START + 7000 };
        await to.store.restore(snapshot, []);
        expect((await to.hold("A1", "X")).fencing_token).toBeGreaterThan(START + 5000);
        expect((await to.events("X"))[0]?.seq).toBeGreaterThan(START + 7000);
      }),
    );

    test(
      "events keep their seq, and what was pruned there is pruned here",
      two(async (from, to) => {
        await from.join("A1");
        const [first] = await from.events();
        from.clock.advance(MINUTE);
        await from.join("A2");
        to.clock.set(START + 2 * MINUTE);
        await to.store.observe({ since: 0, worktree: "/repo", branch: "main" });
        await to.store.restore(await from.store.snapshot(), []);
        expect(await to.events()).toEqual(await from.events());
        const after = { since: first?.seq ?? 0, limit: 10 };
        expect(await to.store.events(after)).toMatchObject({ kind: "page", events: [{ agent_id: "A2" }] });
        const { pruned_seq } = await from.store.snapshot();
        expect(await to.store.events({ since: pruned_seq - 1, limit: 1 })).toMatchObject({ kind: "pruned" });
      }),
    );

    test(
      "read receipts and idempotency keys hold after the restore",
      two(async (from, to) => {
        await from.join("A1", "A2");
        const idempotency = { key: "k", input_hash: "h" };
        const message = { message_id: "M1", from_agent_id: "A1", to_agent_id: "A2", text: "hello" };
        const sent = await from.store.send({ ...message, idempotency });
        await from.store.send({ message_id: "M2", from_agent_id: "A1", to_agent_id: "A2", text: "unread" });
        await from.store.markRead("A2", { message_ids: ["M1"] });
        await from.store.intend({ key: "c", input_hash: "i" }, { id: "T-1" });
        await moved(from, to);
        expect(await to.observe("A2")).toMatchObject({ unread: 1, message_count: 2 });
        expect((await to.store.messages({ limit: 9, order: "newest" })).messages.map(({ read_by }) => read_by)).toEqual(
          [[], ["A2"]],
        );
        expect(await to.store.send({ ...message, message_id: "M3", idempotency })).toEqual(sent);
        expect(await to.store.intend({ key: "c", input_hash: "i" }, {})).toEqual({
          kind: "planned",
          plan: { id: "T-1" },
        });
      }),
    );

    test(
      "a runtime that holds anything refuses and stays as it is; one that holds just this says so",
      two(async (from, to) => {
        await from.join("A1");
        await from.hold("A1", "X");
        await to.join("B1");
        const before = await to.store.snapshot();
        expect(await to.store.restore(await from.store.snapshot(), [])).toEqual({
          kind: "occupied",
          holds: { agents: 1, events: 1 },
        });
        expect(await to.store.snapshot()).toEqual(before);
        expect(await from.store.restore(await from.store.snapshot(), [])).toEqual({ kind: "already" });
        await to.store.clear();
        await to.store.intend({ key: "mine", input_hash: "h" }, {});
        expect(await to.store.restore(await from.store.snapshot(), [])).toMatchObject({ kind: "occupied" });
        expect(await to.store.restore(await from.store.snapshot(), ["mine"])).toEqual({ kind: "restored" });
      }),
    );

    test(
      "a decision made before the restore is stale after it",
      two(async (from, to) => {
        await from.join("A1");
        await from.finish("done_verify", "X", { agent_id: "A1" });
        const seen = await to.version();
        const id = (await to.observe()).runtime_id;
        await moved(from, to);
        expect((await to.observe()).runtime_id).not.toBe(id);
        expect(await to.claim("A1", [{ key: key("Z"), reopens: [], locks: [], basis: [key("X")] }], { seen })).toEqual({
          kind: "stale",
          task_ids: ["Z"],
        });
        expect((await to.observe()).outcomes).toMatchObject([{ task_id: "X", rank: VERIFIED.rank }]);
      }),
    );

    test(
      "what no runtime can hold is refused whole",
      two(async (from, to) => {
        await from.join("A1");
        const lease = await from.hold("A1", "X");
        const good = await from.store.snapshot();
        const [row] = good.leases;
        const hostile: Partial<RuntimeSnapshot>[] = [
          { leases: [...good.leases, { ...lease, ...row, lease_id: "L99", fencing_token: lease.fencing_token - 1 }] },
          { leases: [...good.leases, ...good.leases] },
          { events: [...good.events, ...good.events] },
          { agents: [...good.agents, ...good.agents] },
          { last_token: lease.fencing_token - 1 },
          { last_seq: Number.MAX_SAFE_INTEGER },
          { pruned_seq: good.last_seq },
          { messages: [{ message_id: "M1", text: "to nobody", created_at: START, reads: [] }] },
        ];
        const before = await to.store.snapshot();
        for (const part of hostile) {
          const result = await to.store.restore({ ...good, ...part }, []);
          expect(result.kind === "invalid" && result.problems.length).toBeGreaterThan(0);
        }
        expect(await to.store.snapshot()).toEqual(before);
      }),
    );

    test("random histories come back as they were, to the last field", async () => {
      const agents = ["A1", "A2"] as const;
      const tasks = ["X", "Y", "Z"] as const;
      const step = fc.record({
        what: fc.constantFrom(
          "hold",
          "release",
          "done",
          "done_verify",
          "reopen",
          "delete",
          "send",
          "read",
          "wait",
          "leave",
        ),
        agent: fc.constantFrom(...agents),
        task: fc.constantFrom(...tasks),
        text: fc.string({ unit: "grapheme", maxLength: 20 }),
        keyed: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          await two(async (from, to) => {
            for (const { what, agent, task, text, keyed } of steps) {
              await from.join(agent);
              const idempotency = keyed ? { idempotency: { key: from.id("K"), input_hash: "h" } } : {};
              if (what === "hold") await from.claim(agent, task, idempotency);
              else if (what === "release")
                await from.store.release({
                  key: key(task),
                  agent_id: agent,
                  force: false,
                  how: "released",
                  note: { text: `${text}.`, message_id: from.id("N") },
                  ...idempotency,
                });
              else if (what === "send")
                await from.store.send({
                  message_id: from.id("M"),
                  from_agent_id: agent,
                  text,
                  ...(keyed ? { task_id: task } : { to_agent_id: "A1" }),
                  ...idempotency,
                });
              else if (what === "read") {
                const page = await from.store.messages({ limit: 3, order: "newest" });
                await from.store.markRead(agent, { message_ids: page.messages.map(({ message_id }) => message_id) });
              } else if (what === "wait") from.clock.advance(keyed ? SECOND : TTL);
              else if (what === "leave") await from.store.leave(agent);
              else await from.finish(what as Change, task, { agent_id: agent, force: keyed });
            }
            await moved(from, to);
            const counters = { last_token: expect.any(Number), last_seq: expect.any(Number) };
            const before = await from.store.snapshot();
            expect(await to.store.snapshot()).toEqual({ ...before, ...counters });
            expect(await to.store.inspect()).toEqual([]);
          })();
        }),
        { numRuns: 40 },
      );
    }, 60_000);
  });
}
