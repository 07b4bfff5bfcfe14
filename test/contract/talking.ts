import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DAY, HOUR, SECOND } from "../../src/core/time.ts";
import type { MessagePage } from "../../src/runtime/store.ts";
import { Bench, key, type Open, START, TTL } from "./fixture.ts";

/** Agents, messages, events, idempotency keys. */
export function talkingContract(open: Open): void {
  const bench = (body: (b: Bench) => Promise<void>) => async () => {
    const opened = await open();
    try {
      await body(new Bench(opened));
    } finally {
      opened.close();
    }
  };
  const send = (b: Bench, from_agent_id: string, to: { task_id: string } | { to_agent_id: string }, text: string) =>
    b.store.send({ message_id: b.id("M"), from_agent_id, text, ...to });

  describe("agents", () => {
    test(
      "join registers, and with a known id resumes: given fields are updated, the rest stays",
      bench(async (b) => {
        const first = await b.store.join({
          agent_id: "A1",
          role: "dev",
          capabilities: ["ts"],
          session_meta: { model: "m" },
          worktree: "/repo",
          session: "s1",
        });
        expect(first).toEqual({
          agent_id: "A1",
          role: "dev",
          capabilities: ["ts"],
          session_meta: { model: "m" },
          registered_at: START,
          last_seen_at: START,
          worktree: "/repo",
        });
        b.clock.advance(HOUR);
        const again = await b.store.join({ agent_id: "A1", display_name: "Ann", worktree: "/two", session: "s2" });
        expect(again).toEqual({ ...first, display_name: "Ann", last_seen_at: START + HOUR, worktree: "/two" });
        expect(await b.types()).toEqual(["agent.joined", "agent.joined"]);
      }),
    );

    test(
      "leave ends the agent's leases, each with its event; leaving twice releases nothing more",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        await b.hold("A1", "Y");
        expect((await b.store.leave("A1"))?.released.map((one) => one.task_id).sort()).toEqual(["X", "Y"]);
        expect((await b.types()).slice(-3)).toEqual(["task.released", "task.released", "agent.left"]);
        expect(await b.observe()).toMatchObject({ leases: [], agent_count: 1 });
        expect(await b.store.leave("A1")).toMatchObject({ released: [], agent: { left_at: START } });
        expect(await b.store.leave("A9")).toBeUndefined();
        expect(await b.store.heartbeat("A1")).toBeUndefined();
      }),
    );

    test(
      "a write by an agent is a sign of life, at most every 30 s",
      bench(async (b) => {
        await b.join("A1");
        const seen = async () => (await b.observe("A1")).agent?.last_seen_at;
        b.clock.advance(29 * SECOND);
        await b.hold("A1", "X");
        expect(await seen()).toBe(START);
        b.clock.advance(SECOND);
        await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, agent_id: "A1" });
        expect(await seen()).toBe(START + 30 * SECOND);
        b.clock.advance(1);
        expect((await b.store.heartbeat("A1"))?.last_seen_at).toBe(b.clock.now());
      }),
    );
  });

  describe("messages", () => {
    test(
      "unread: messages to the agent and in threads of tasks that it holds, never its own",
      bench(async (b) => {
        await b.join("A1", "A2");
        await send(b, "A2", { to_agent_id: "A1" }, "hello");
        await send(b, "A2", { task_id: "X" }, "about X");
        await send(b, "A1", { task_id: "X" }, "mine");
        expect((await b.observe("A1")).unread).toBe(1);
        await b.hold("A1", "X", { handoff_chars: 0 });
        expect((await b.observe("A1")).unread).toBe(2);
        const inbox = await b.store.messages({ inbox_of: "A1", unread_by: "A1", order: "newest", limit: 10 });
        expect(inbox).toMatchObject({ count: 2, messages: [{ text: "about X" }, { text: "hello" }] });
        const ids = inbox.messages.map((one) => one.message_id);
        expect(await b.store.markRead("A1", { message_ids: [...ids, "M999"] })).toEqual(ids);
        expect(await b.store.markRead("A1", { message_ids: ids })).toEqual([]);
        expect((await b.observe("A1")).unread).toBe(0);
        // Who takes work does not pay for counting.
        expect(await b.store.observe({ since: 0, worktree: "/", branch: "m", agent_id: "A1" })).not.toHaveProperty(
          "unread",
        );
        expect((await b.types()).filter((type) => type === "message.read")).toHaveLength(1);
        expect((await b.store.messages({ task_id: "X", order: "newest", limit: 10 })).messages).toMatchObject([
          { read_by: [] },
          { read_by: ["A1"] },
        ]);
      }),
    );

    test(
      "filters come before the limit, pages follow one another in both orders",
      bench(async (b) => {
        await b.join("A1");
        for (let i = 0; i < 7; i += 1) await send(b, "A1", { task_id: i % 2 === 0 ? "X" : "Y" }, `Number ${i}`);
        const texts = (page: MessagePage) => page.messages.map((one) => one.text);
        const newest = { task_id: "X", order: "newest", limit: 3 } as const;
        const first = await b.store.messages(newest);
        expect(texts(first)).toEqual(["Number 6", "Number 4", "Number 2"]);
        expect(first).toMatchObject({ count: 4, more: true });
        const rest = await b.store.messages({ ...newest, after: first.last ?? 0 });
        expect(texts(rest)).toEqual(["Number 0"]);
        expect(rest.more).toBe(false);
        const oldest = { task_id: "X", order: "oldest", limit: 2 } as const;
        const begin = await b.store.messages(oldest);
        expect(texts(begin)).toEqual(["Number 0", "Number 2"]);
        // What is sent between two pages of a thread comes after them, once.
        await send(b, "A1", { task_id: "X" }, "Number 8");
        const second = await b.store.messages({ ...oldest, after: begin.last ?? 0 });
        expect(texts(second)).toEqual(["Number 4", "Number 6"]);
        const third = await b.store.messages({ ...oldest, after: second.last ?? 0 });
        expect(texts(third)).toEqual(["Number 8"]);
        const end = await b.store.messages({ ...oldest, after: third.last ?? 0 });
        expect(end).toEqual({ messages: [], count: 5, more: false });
      }),
    );

    test(
      "search finds parts of words in text and subject, whatever their case and accents; all words must be there",
      bench(async (b) => {
        await b.join("A1");
        const texts = [
          "Done with part 1",
          "See src/auth/form.ts",
          "\u00c4pfel \u65e5\u672c\u8a9e\u30c6\u30b9\u30c8",
          '100% of 5_000 "quoted" *',
        ];
        for (const text of texts) await send(b, "A1", { task_id: "X" }, text);
        await b.store.send({
          message_id: "M9",
          from_agent_id: "A1",
          task_id: "X",
          text: "-",
          subject: "Weekly Report",
        });
        const found = async (...words: string[]) =>
          (await b.store.messages({ words, order: "oldest", limit: 9 })).messages.map((one) =>
            one.message_id === "M9" ? 4 : texts.indexOf(one.text),
          );
        expect(await found("PART")).toEqual([0]);
        expect(await found("rc/au", "form")).toEqual([1]);
        expect(await found("part", "form")).toEqual([]);
        expect(await found("apfel")).toEqual([2]);
        expect(await found("\u65e5\u672c\u8a9e")).toEqual([2]);
        expect(await found("\u672c")).toEqual([2]);
        expect(await found("ekl")).toEqual([4]);
        expect(await found("1")).toEqual([0, 3]);
        expect(await found("%")).toEqual([3]);
        expect(await found("5_0")).toEqual([3]);
        expect(await found("500")).toEqual([]);
        expect(await found('"quo')).toEqual([3]);
        await b.store.clear();
        expect(await found("part")).toEqual([]);
        expect(await b.store.inspect()).toEqual([]);
      }),
    );

    test(
      "no text that is searched for is an error: it has no signs with a meaning",
      bench(async (b) => {
        await b.join("A1");
        await send(b, "A1", { task_id: "X" }, "subject: AND near(a b) it's");
        const hostile = [
          '"',
          '""',
          "'",
          "*",
          "a*",
          "AND",
          "OR NOT",
          "NEAR(a b, 2)",
          "(",
          ")",
          "{a}",
          "^a",
          "-a",
          "a:b",
          "subject:",
          "\\",
          "%",
          "_",
        ];
        hostile.push(
          '"abc',
          'abc"',
          'a"b"c',
          'abc" OR "def',
          "\0",
          "a\0b",
          "abc\0def",
          "\ud800",
          "; drop table message; --",
          "$match",
          "?",
          "a\u0301b",
          "x".repeat(70_000),
        );
        for (const word of hostile)
          for (const words of [[word], [word, word], ["near", word]])
            expect((await b.store.messages({ words, order: "newest", limit: 5 })).count).toBeLessThanOrEqual(1);
        expect((await b.store.messages({ words: ["subject:", "near(a"], order: "newest", limit: 5 })).count).toBe(1);
        const anyWords = fc.array(fc.string({ unit: "binary", maxLength: 8 }), { maxLength: 3 });
        await fc.assert(
          fc.asyncProperty(anyWords, async (words) => {
            await b.store.messages({ words, order: "oldest", limit: 1 });
          }),
        );
      }),
    );

    test(
      "receive shows a page and marks it, in one step: the same agent asking twice gets each unread message once",
      bench(async (b) => {
        await b.join("A1", "A2");
        for (const text of ["1", "2", "3"]) await send(b, "A2", { to_agent_id: "A1" }, text);
        const query = { inbox_of: "A1", unread_by: "A1", order: "newest", limit: 2 } as const;
        const [one, two] = await Promise.all([b.store.receive("A1", query), b.second().receive("A1", query)]);
        const all = [...one.messages, ...two.messages].map((each) => each.text);
        expect(all.sort()).toEqual(["1", "2", "3"]);
        expect(one.more).toBe(true);
        expect((await b.types()).filter((type) => type === "message.read")).toHaveLength(2);
        expect((await b.store.receive("A1", query)).messages).toEqual([]);
        expect((await b.types()).filter((type) => type === "message.read")).toHaveLength(2);
        expect((await b.store.messages({ order: "newest", limit: 9 })).messages.map((each) => each.read_by)).toEqual([
          ["A1"],
          ["A1"],
          ["A1"],
        ]);
      }),
    );

    test(
      "receive under a key gives the same page again; reading one's own words leaves no receipt",
      bench(async (b) => {
        await b.join("A1", "A2");
        await send(b, "A2", { task_id: "X" }, "theirs");
        await send(b, "A1", { task_id: "X" }, "mine");
        const idempotency = { key: "k", input_hash: "h" };
        const query = { task_id: "X", unread_by: "A1", order: "oldest", limit: 9 } as const;
        const first = await b.store.receive("A1", query, idempotency);
        expect(first.messages.map((one) => one.text)).toEqual(["theirs"]);
        expect(await b.second().receive("A1", query, idempotency)).toEqual(first);
        await b.store.receive("A1", { task_id: "X", order: "oldest", limit: 9 });
        expect((await b.store.messages({ task_id: "X", order: "oldest", limit: 9 })).messages).toMatchObject([
          { text: "theirs", read_by: ["A1"] },
          { text: "mine", read_by: [] },
        ]);
      }),
    );

    test(
      "markRead of a thread marks what others wrote there; ids of another thread are left alone",
      bench(async (b) => {
        await b.join("A1", "A2");
        await send(b, "A2", { task_id: "X" }, "one");
        await send(b, "A1", { task_id: "X" }, "own");
        await b.store.send({ message_id: "MY", from_agent_id: "A2", task_id: "Y", text: "other thread" });
        expect(await b.store.markRead("A1", { task_id: "X", message_ids: ["MY"] })).toEqual([]);
        expect(await b.store.markRead("A1", { task_id: "X" })).toHaveLength(1);
        expect(await b.store.markRead("A1", { task_id: "X" })).toEqual([]);
        expect(await b.store.threads(9, "A1")).toEqual([
          { task_id: "Y", message_count: 1, unread: 1, last_at: START },
          { task_id: "X", message_count: 2, unread: 0, last_at: START },
        ]);
        expect((await b.store.threads(1)).map(({ unread }) => unread)).toEqual([0]);
        expect(await b.store.lookup(["X", "Y", "Z"], "A1")).toMatchObject([
          { key: { task_id: "X" }, message_count: 2, unread: 0 },
          { key: { task_id: "Y" }, message_count: 1, unread: 1 },
        ]);
      }),
    );

    test(
      "nothing is sent by, or to, an agent that is not registered or has left",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.store.leave("A2");
        const say = (from_agent_id: string, to_agent_id: string) =>
          b.store.send({ message_id: b.id("M"), from_agent_id, to_agent_id, text: "x" });
        expect(await say("A1", "A9")).toEqual({ kind: "unknown_agent", agent_id: "A9" });
        expect(await say("A9", "A1")).toEqual({ kind: "unknown_agent", agent_id: "A9" });
        expect(await say("A1", "A2")).toEqual({ kind: "unknown_agent", agent_id: "A2" });
        expect((await say("A1", "A1")).kind).toBe("sent");
        expect((await b.observe()).message_count).toBe(1);
      }),
    );

    test(
      "a claim hands over the newest unread messages that fit, in order, and marks those alone",
      bench(async (b) => {
        await b.join("A1", "A2");
        for (const text of ["aaaa", "bbbb", "cccc"]) await send(b, "A2", { task_id: "X" }, text);
        await send(b, "A1", { task_id: "X" }, "own");
        const result = await b.claim("A1", "X", { handoff_chars: 9 });
        expect(result).toMatchObject({
          grants: [{ handoff: { unread: 3, messages: [{ text: "bbbb" }, { text: "cccc" }] } }],
        });
        expect(await b.claim("A1", "X")).toMatchObject({
          grants: [{ handoff: { unread: 1, messages: [{ text: "aaaa" }] } }],
        });
        const third = await b.claim("A1", "X");
        expect(third.kind === "granted" && third.grants[0]?.handoff).toBeUndefined();
        for (let i = 0; i < 70; i += 1) await send(b, "A2", { task_id: "X" }, "z");
        const many = await b.claim("A1", "X", { handoff_chars: 3 });
        expect(many).toMatchObject({ grants: [{ handoff: { unread: 70, messages: [{}, {}, {}] } }] });
      }),
    );

    test(
      "one message id is one message",
      bench(async (b) => {
        await b.join("A1");
        const message = { message_id: "M1", from_agent_id: "A1", task_id: "X", text: "once" };
        expect(await b.store.send(message)).toEqual(await b.store.send(message));
        expect((await b.observe()).message_count).toBe(1);
      }),
    );
  });

  describe("events", () => {
    test(
      "seqs grow, pages join without a gap, filters work",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.store.append([
          { type: "task.created", task_id: "X", data: { title: "t" } },
          { type: "task.updated", agent_id: "A1", task_id: "Y" },
        ]);
        const all = await b.events();
        expect(all.map((event) => event.seq)).toEqual([...all.map((event) => event.seq)].sort((x, y) => x - y));
        const page = await b.store.events({ since: 0, limit: 3 });
        if (page.kind !== "page") throw new Error("A page was expected.");
        const rest = await b.store.events({ since: page.next_since, limit: 3 });
        expect(rest).toMatchObject({ events: [all[3]], next_since: all[3]?.seq });
        expect(await b.store.events({ since: 0, limit: 9, types: ["task.created"] })).toMatchObject({
          events: [{ data: { title: "t" } }],
        });
        expect(await b.store.events({ since: 0, limit: 9, agent_id: "A1", task_id: "Y" })).toMatchObject({
          events: [{ type: "task.updated" }],
        });
        expect(await b.store.events({ since: 0, limit: 9, task_id: "Q" })).toEqual({
          kind: "page",
          events: [],
          next_since: all[3]?.seq ?? 0,
        });
      }),
    );

    test(
      "events older than 30 days are pruned; an older since is told so, a kept one is not",
      bench(async (b) => {
        await b.join("A1");
        const [old] = await b.events();
        b.clock.advance(29 * DAY);
        await b.join("A2");
        b.clock.advance(2 * DAY);
        await b.store.heartbeat("A1");
        const kept = await b.events();
        expect(kept).toMatchObject([{ type: "agent.joined", agent_id: "A2" }]);
        expect(await b.store.events({ since: (old?.seq ?? 0) - 1, limit: 9 })).toEqual({
          kind: "pruned",
          oldest: old?.seq ?? 0,
        });
        expect((await b.store.events({ since: old?.seq ?? 0, limit: 9 })).kind).toBe("page");
      }),
    );

    test(
      "counterexample 10: a since of a lost runtime is pruned, and does not wait for ever",
      bench(async (b) => {
        expect((await b.store.events({ since: 5000, limit: 9 })).kind).toBe("pruned");
      }),
    );

    test(
      "messages are kept 90 days",
      bench(async (b) => {
        await b.join("A1");
        await send(b, "A1", { task_id: "X" }, "old");
        b.clock.advance(89 * DAY);
        await b.store.heartbeat("A1");
        expect((await b.observe()).message_count).toBe(1);
        b.clock.advance(2 * DAY);
        await b.store.heartbeat("A1");
        expect((await b.observe()).message_count).toBe(0);
        expect((await b.store.messages({ words: ["old"], order: "newest", limit: 1 })).count).toBe(0);
        expect(await b.store.inspect()).toEqual([]);
      }),
    );

    test(
      "events and messages are kept as long as the runtime is told, and so again after it is told nothing",
      bench(async (b) => {
        await b.join("A1");
        await send(b, "A1", { task_id: "X" }, "old");
        expect((await b.observe()).retention).toEqual({});
        await b.store.keep({ events: 2 * DAY, messages: DAY });
        expect((await b.observe()).retention).toEqual({ events: 2 * DAY, messages: DAY });
        b.clock.advance(DAY + HOUR);
        await b.store.heartbeat("A1");
        expect((await b.observe()).message_count).toBe(0);
        expect(await b.types()).toContain("message.sent");
        b.clock.advance(DAY);
        await b.store.heartbeat("A1");
        expect(await b.types()).toEqual([]);
        await b.store.keep({});
        expect((await b.observe()).retention).toEqual({});
      }),
    );
  });

  describe("idempotency keys", () => {
    const once = { key: "k1", input_hash: "h1" };
    const other = { key: "k1", input_hash: "h2" };

    test(
      "L4: the same key with the same input gives the first answer again, with other input it is refused",
      bench(async (b) => {
        await b.join("A1");
        const call = await b.claiming("A1", ["X"], { idempotency: once });
        const first = await b.store.claim(call);
        b.clock.advance(10 * TTL);
        expect(JSON.stringify(await b.second().claim(call))).toBe(JSON.stringify(first));
        expect(await b.store.claim({ ...call, idempotency: other })).toEqual({ kind: "mismatch" });
        const release = { key: key("X"), force: false, how: "released", agent_id: "A1", idempotency: once } as const;
        expect(await b.store.release(release)).toEqual({ kind: "mismatch" });
        expect(await b.store.renew({ key: key("X"), ttl: TTL, automatic: false, idempotency: other })).toEqual({
          kind: "mismatch",
        });
        expect((await b.finish("done", "X", { idempotency: other })).kind).toBe("mismatch");
        await expect(
          b.store.join({ agent_id: "A2", worktree: "/repo", session: "s", idempotency: other }),
        ).rejects.toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
      }),
    );

    test(
      "a refusal is not kept: the same key may try again",
      bench(async (b) => {
        await b.join("A1", "A2");
        await b.hold("A1", "X");
        const call = await b.claiming("A2", ["X"], { idempotency: once });
        expect((await b.store.claim(call)).kind).toBe("held");
        b.clock.advance(TTL);
        expect((await b.store.claim(call)).kind).toBe("granted");
      }),
    );

    test(
      "every write keeps its answer: renew, release, finish, join, leave, send",
      bench(async (b) => {
        const k = (name: string) => ({ key: name, input_hash: "h" });
        const joining = { agent_id: "A1", worktree: "/repo", session: "s1", idempotency: k("join") };
        const joined = await b.store.join(joining);
        await b.hold("A1", "X");
        const renewing = { key: key("X"), ttl: TTL, automatic: false, agent_id: "A1", idempotency: k("renew") };
        const renewed = await b.store.renew(renewing);
        const finishing = await b.finishing("done", "X", { agent_id: "A1", idempotency: k("finish") });
        const finished = await b.store.finish(finishing);
        const sending = { message_id: "M1", from_agent_id: "A1", task_id: "X", text: "t", idempotency: k("send") };
        const sent = await b.store.send(sending);
        expect(await b.store.send({ ...sending, message_id: "M2" })).toEqual(sent);
        const left = await b.store.leave("A1", k("leave"));
        b.clock.advance(HOUR);
        await b.join("A1");
        expect(await b.store.join(joining)).toEqual(joined);
        expect(await b.store.renew(renewing)).toEqual(renewed);
        expect(await b.store.finish(finishing)).toEqual(finished);
        expect(await b.store.send({ ...sending, message_id: "M3" })).toEqual(sent);
        expect(await b.store.leave("A1", k("leave"))).toEqual(left);
      }),
    );

    test(
      "intend keeps the first plan until it is complete, then the answer",
      bench(async (b) => {
        expect(await b.store.intend(once, { id: "T-1" })).toEqual({ kind: "fresh" });
        expect(await b.store.intend(once, { id: "T-2" })).toEqual({ kind: "planned", plan: { id: "T-1" } });
        await b.store.complete(once, { created: ["T-1"] });
        await b.store.complete(once, { created: ["T-9"] });
        expect(await b.second().intend(once, {})).toEqual({ kind: "answered", answer: { created: ["T-1"] } });
        expect(await b.store.intend(other, {})).toEqual({ kind: "mismatch" });
      }),
    );
  });

  test(
    "pulse changes when another connection has written, and only then",
    bench(async (b) => {
      const before = await b.store.pulse();
      expect(await b.store.pulse()).toBe(before);
      await b.second().join({ agent_id: "A9", worktree: "/repo", session: "s" });
      expect(await b.store.pulse()).not.toBe(before);
    }),
  );

  test(
    "clear empties the runtime; tokens, versions and seqs go on, and a mirror of the old outcomes knows that it is old",
    bench(async (b) => {
      await b.join("A1");
      const lease = await b.hold("A1", "X");
      await b.finish("done", "Y");
      const before = await b.observe();
      await b.store.clear();
      const now = await b.observe();
      expect(now).toMatchObject({
        leases: [],
        outcomes: [],
        agent_count: 0,
        message_count: 0,
        outbox_waiting: false,
        version: before.version,
      });
      expect(now.runtime_id).not.toBe(before.runtime_id);
      expect((await b.store.events({ since: before.last_seq - 1, limit: 9 })).kind).toBe("pruned");
      await b.join("A1");
      expect((await b.hold("A1", "X")).fencing_token).toBeGreaterThan(lease.fencing_token);
      expect(await b.store.inspect()).toEqual([]);
    }),
  );

  test(
    "a fresh runtime is sound and says who it is",
    bench(async (b) => {
      expect(await b.store.inspect()).toEqual([]);
      const info = await b.store.info();
      expect((await b.observe()).runtime_id).toBe(info.runtime_id);
      expect(info.counts).toEqual({ agents: 0, leases: 0, messages: 0, events: 0, outcomes: 0 });
    }),
  );
}
