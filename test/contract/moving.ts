import { describe, expect, test } from "bun:test";
import { HOUR } from "../../src/core/time.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { Bench, key, type Open, START, TTL } from "./fixture.ts";

/** Runtimes that go on elsewhere, and which repository one is for. */
export function movingContract(open: Open): void {
  const one = (body: (bench: Bench) => Promise<void>) => async () => {
    const opened = await open();
    try {
      await body(new Bench(opened));
    } finally {
      opened.close();
    }
  };
  const two = (body: (from: Bench, to: Bench) => Promise<void>) => one((from) => one((to) => body(from, to))());

  const WRITES: Readonly<Record<string, (store: RuntimeStore, bench: Bench) => Promise<unknown>>> = {
    claim: async (store, bench) => store.claim(await bench.claiming("A1", ["Z"])),
    renew: (store) => store.renew({ key: key("X"), agent_id: "A1", ttl: TTL, automatic: false }),
    release: (store) => store.release({ key: key("X"), agent_id: "A1", force: false, how: "released" }),
    finish: async (store, bench) => store.finish(await bench.finishing("done", "X", { agent_id: "A1" })),
    join: (store) => store.join({ agent_id: "A9", worktree: "/repo", session: "s1" }),
    heartbeat: (store) => store.heartbeat("A1"),
    leave: (store) => store.leave("A1"),
    append: (store) => store.append([{ type: "task.updated", task_id: "X" }]),
    send: (store) => store.send({ message_id: "M9", from_agent_id: "A1", to_agent_id: "A1", text: "late" }),
    receive: (store) => store.receive("A1", { order: "newest", limit: 9 }),
    markRead: (store) => store.markRead("A1", { message_ids: ["M1"] }),
    keep: (store) => store.keep({ events: HOUR }),
    intend: (store) => store.intend({ key: "k", input_hash: "h" }, {}),
    queue: (store) => store.queue({ ticket_id: "T1", filter: "", worktree: "/repo" }),
    clear: (store) => store.clear(),
    restore: async (store) => store.restore(await store.snapshot(), []),
    belong: (store) => store.belong({ origin: "example.org/other" }),
  };

  describe("moving", () => {
    test(
      "a retired runtime refuses every write, also from who had it open, and answers every question",
      one(async (bench) => {
        await bench.join("A1", "A2");
        const lease = await bench.hold("A1", "X");
        await bench.store.send({ message_id: "M1", from_agent_id: "A2", to_agent_id: "A1", text: "before" });
        const other = bench.second();
        await other.agents();
        const before = await bench.store.snapshot();
        expect(await bench.store.retire("elsewhere")).toEqual(before);
        bench.clock.set(lease.expires_at + HOUR);
        for (const store of [bench.store, other])
          for (const [name, write] of Object.entries(WRITES)) {
            const refused = await write(store, bench).then(
              () => name,
              ({ code, details }) => ({ code, moved_to: details.moved_to }),
            );
            expect(refused).toEqual({ code: "RUNTIME_MOVED", moved_to: "elsewhere" });
          }
        expect(await other.snapshot()).toEqual({ ...before, now: lease.expires_at + HOUR });
        expect(await other.info()).toMatchObject({ moved_to: "elsewhere" });
        expect(await bench.observe()).toMatchObject({ moved_to: "elsewhere", message_count: 1, leases: [] });
      }),
    );

    test(
      "of two moves of one runtime the first counts, unless it is named as void; revived, it is as it was",
      one(async (bench) => {
        await bench.join("A1");
        const before = await bench.store.retire("elsewhere");
        expect(await bench.store.retire("elsewhere")).toEqual(before);
        await expect(bench.store.retire("another place")).rejects.toMatchObject({ code: "RUNTIME_MOVED" });
        expect(await bench.store.retire("another place", "elsewhere")).toEqual(before);
        await expect(bench.join("A2")).rejects.toMatchObject({ details: { moved_to: "another place" } });
        await bench.store.revive("elsewhere");
        expect(await bench.store.info()).toMatchObject({ moved_to: "another place" });
        await bench.store.revive("another place");
        expect(await bench.store.snapshot()).toEqual(before);
        expect(await bench.store.info()).not.toHaveProperty("moved_to");
        expect(await bench.observe()).not.toHaveProperty("moved_to");
        await bench.join("A2");
      }),
    );

    test(
      "a move repeated after a lost answer finds the snapshot there already",
      two(async (from, to) => {
        await from.join("A1");
        const { expires_at } = await from.hold("A1", "X");
        await to.store.restore(await from.store.retire("there"), []);
        from.clock.set(expires_at + HOUR);
        expect(await to.store.restore(await from.store.retire("there"), [])).toEqual({ kind: "already" });
      }),
    );

    test(
      "L2: what moved there comes back over what stayed behind, and its tokens are larger",
      two(async (here, there) => {
        await here.join("A1");
        const first = await here.hold("A1", "X");
        await there.store.restore(await here.store.retire("there"), []);
        await there.join("A2");
        const second = await there.hold("A2", "Y", { lease_ids: ["L90"] });
        expect(second.fencing_token).toBeGreaterThan(first.fencing_token);
        const back = await there.store.retire("here");
        await expect(here.store.restore(back, [], "a third place")).rejects.toMatchObject({ code: "RUNTIME_MOVED" });
        expect(await here.store.restore(back, [], "there")).toEqual({ kind: "restored" });
        expect(await here.store.snapshot()).toEqual({
          ...back,
          last_token: expect.any(Number),
          last_seq: expect.any(Number),
        });
        expect((await here.hold("A1", "Z", { lease_ids: ["L91"] })).fencing_token).toBeGreaterThan(
          second.fencing_token,
        );
      }),
    );

    test(
      "a runtime that is in use is not replaced, whatever place is named",
      two(async (here, there) => {
        await here.join("A1");
        await there.join("A2");
        expect(await here.store.restore(await there.store.snapshot(), [], "there")).toMatchObject({ kind: "occupied" });
      }),
    );

    test(
      "a runtime knows which repository it is for, and by whom and when it is kept",
      one(async (bench) => {
        expect(await bench.store.info()).not.toHaveProperty("home");
        const home = { root_commit: "a".repeat(40), origin: "example.org/team/project" };
        await bench.store.belong(home);
        expect(await bench.second().info()).toMatchObject({ home, now: START });
        await bench.store.belong({ origin: "example.org/moved" });
        const info = await bench.store.info();
        expect(info.home).toEqual({ origin: "example.org/moved" });
        expect(info.engine).toMatch(/^\w+ \d+\.\d+/);
      }),
    );
  });
}
