/** Many processes that write and read messages at once: nothing is lost, skipped, repeated or read twice. */
import { expect, test } from "bun:test";
import { type Fleet, fleet, rounds, tally, together, until } from "../support/fleet.ts";

const LONG = 240_000;
const AGENTS = 16;
const name = (n: number) => `A${n}`;

interface Message {
  readonly message_id: string;
  readonly from_agent_id: string;
  readonly text: string;
  readonly read_by?: readonly string[];
}

async function staged(): Promise<Fleet> {
  const here = await fleet();
  here.tasks(["T", "U"]);
  await here.join(...Array.from({ length: AGENTS }, (_, i) => name(i + 1)));
  return here;
}

/** Reads a thread on from a cursor, page by page, until it has no more. */
async function readOn(
  here: Fleet,
  seen: Message[],
  cursor: string | undefined,
  limit: number,
): Promise<string | undefined> {
  let at = cursor;
  for (;;) {
    const after = at === undefined ? "" : ` --cursor ${at}`;
    const page = await here.ok(`msg thread T --limit ${limit}${after}`);
    seen.push(...page.messages);
    at = page.cursor;
    if (page.count < limit) return at;
  }
}

test(
  "M1: 16 agents write to one thread and read it at once: each sees every message once, all in one order",
  async () => {
    for (const _ of rounds(1)) {
      using here = await staged();
      const seen = await together(AGENTS, async (n) => {
        const mine: Message[] = [];
        let cursor: string | undefined;
        for (const k of [1, 2, 3, 4]) {
          await here.ok(`msg send --task T --from ${name(n)} --text ${n}.${k}`);
          cursor = await readOn(here, mine, cursor, 7);
        }
        return { mine, cursor };
      });
      // What came after its last look is read from where each stopped.
      const whole = await together(AGENTS, async (n) => {
        const { mine = [], cursor } = seen[n - 1] ?? {};
        await readOn(here, mine, cursor, 7);
        return mine.map(({ message_id }) => message_id);
      });
      const thread: Message[] = [];
      await readOn(here, thread, undefined, 1000);
      expect(thread).toHaveLength(AGENTS * 4);
      expect(new Set(thread.map(({ text }) => text)).size).toBe(AGENTS * 4);
      for (const ids of whole) expect(ids).toEqual(thread.map(({ message_id }) => message_id));
      // Each agent's own words stand in the order in which it said them.
      for (let n = 1; n <= AGENTS; n += 1) {
        const own = thread.filter(({ from_agent_id }) => from_agent_id === name(n)).map(({ text }) => text);
        expect(own).toEqual([1, 2, 3, 4].map((k) => `${n}.${k}`));
      }
    }
  },
  LONG,
);

test(
  "M1: 12 sessions of one agent read its inbox while four agents write to it: each message is shown once",
  async () => {
    for (const _ of rounds(1)) {
      using here = await staged();
      let writing = 4;
      const sending = together(4, async (n) => {
        for (let k = 0; k < 10; k += 1) await here.ok(`msg send --to agent:A16 --from ${name(n)} --text ${n}.${k}`);
        writing -= 1;
      });
      const shown = await together(12, async (n) => {
        const got: string[] = [];
        for (let last = false; ; ) {
          const page = await here.ok("msg inbox --agent A16 --unread-only --limit 3", {
            env: { LODESTAR_SESSION: `s${n}` },
          });
          got.push(...page.messages.map(({ text }: Message) => text));
          if (last && page.count === 0) return got;
          last = writing === 0;
        }
      });
      await sending;
      const times = tally(shown.flat());
      expect(Object.keys(times)).toHaveLength(40);
      expect(new Set(Object.values(times))).toEqual(new Set([1]));
      expect(await here.ok("msg inbox --agent A16 --unread-only --count")).toEqual({ count: 0 });
      const { events } = await here.ok("events --since 0 --type message.read --limit 1000");
      const marked = events.flatMap((event: { data: { message_ids: string[] } }) => event.data.message_ids);
      expect(marked).toHaveLength(40);
      expect(new Set(marked).size).toBe(40);
    }
  },
  LONG,
);

test(
  "M2: 16 agents mark one thread as read at once: every message has one receipt of each but its author",
  async () => {
    using here = await staged();
    await together(AGENTS, (n) => here.ok(`msg send --task T --from ${name(n)} --text ${n}`));
    const marked = await together(AGENTS, async (n) => {
      const twice = await Promise.all([1, 2].map(() => here.ok(`msg mark-read --task T --agent ${name(n)}`)));
      return twice.reduce((sum, { messages_marked }) => sum + messages_marked, 0);
    });
    expect(marked).toEqual(Array(AGENTS).fill(AGENTS - 1));
    const { messages } = await here.ok("msg thread T");
    for (const { from_agent_id, read_by = [] } of messages as Message[]) {
      expect(read_by).toHaveLength(AGENTS - 1);
      expect(new Set([...read_by, from_agent_id]).size).toBe(AGENTS);
    }
  },
  LONG,
);

test(
  "M1: pages from the newest to the oldest repeat and skip nothing while others write",
  async () => {
    using here = await staged();
    await together(10, async (n) => {
      for (const k of [1, 2, 3]) await here.ok(`msg send --task T --from ${name(n)} --text old-${n}.${k}`);
    });
    let reading = true;
    const writing = together(3, async (n) => {
      while (reading) await here.ok(`msg send --task T --from ${name(n)} --text new`);
    });
    try {
      for (const line of ["msg search --keyword o --limit 4", "msg search --task T --limit 3"]) {
        const ids: string[] = [];
        const texts: string[] = [];
        for (let cursor = ""; ; ) {
          const page = await here.ok(`${line}${cursor}`);
          ids.push(...page.messages.map(({ message_id }: Message) => message_id));
          texts.push(...page.messages.map(({ text }: Message) => text));
          if (page.cursor === undefined) break;
          cursor = ` --cursor ${page.cursor}`;
        }
        expect(new Set(ids).size).toBe(ids.length);
        expect(texts.filter((text) => text.startsWith("old"))).toHaveLength(30);
      }
    } finally {
      reading = false;
      await writing;
    }
  },
  LONG,
);

test(
  "M1: what is said while a task changes hands reaches its holder once: with the claim, or as unread",
  async () => {
    using here = await staged();
    let writing = true;
    const sending = together(3, async (n) => {
      for (let k = 0; k < 10; k += 1) await here.ok(`msg send --task U --from ${name(n)} --text ${n}.${k}`);
    }).then(() => {
      writing = false;
    });
    const got: string[] = [];
    while (writing) {
      const claim = await here.ok("task claim U --agent A16");
      got.push(...(claim.handoff?.messages ?? []).map(({ text }: Message) => text));
      await here.ok("task release U --agent A16");
    }
    await sending;
    const rest = await here.ok("msg thread U --unread --agent A16");
    got.push(...rest.messages.map(({ text }: Message) => text));
    expect(got.sort()).toEqual([1, 2, 3].flatMap((n) => Array.from({ length: 10 }, (_, k) => `${n}.${k}`)).sort());
  },
  LONG,
);

test(
  "L4: 16 processes that send with one idempotency key send one message, and get one answer",
  async () => {
    using here = await staged();
    const line = "msg send --task T --from A1 --text once --idempotency-key k";
    const answers = await together(AGENTS, () => here.ok(line));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect((await here.ok("msg thread T")).count).toBe(1);
    expect((await here.refused("IDEMPOTENCY_MISMATCH", line.replace("once", "other"))).details).toBeDefined();
    const reads = await together(4, () => here.ok("msg inbox --agent A2 --unread-only --idempotency-key r"));
    for (const read of reads) expect(read).toEqual(reads[0]);
  },
  LONG,
);

test(
  "who waits is woken by the message, and by what is said in the thread of a task that it holds",
  async () => {
    using here = await staged();
    await here.ok("task claim U --agent A16");
    for (const [waiting, line] of [
      ["msg wait --agent A16 --timeout 60", "msg send --to agent:A16 --from A1 --text hello"],
      ["msg wait --agent A16 --timeout 60", "msg send --task U --from A2 --text about-U"],
      ["wait --for message --agent A16 --timeout 60s", "msg send --task U --from A3 --text more"],
      ["wait --for message:T --agent A16 --timeout 60s", "msg send --task T --from A4 --text other"],
    ] as const) {
      let done = false;
      const woken = here.ok(waiting).finally(() => {
        done = true;
      });
      // It is not for what is said elsewhere, nor for the agent's own words.
      await here.ok("msg send --task U --from A16 --text own");
      await here.ok("msg send --to agent:A5 --from A1 --text not-for-you");
      expect(done).toBe(false);
      const sent = await here.ok(line);
      await until("the waiter is woken", () => done);
      const answer = await woken;
      const ids =
        answer.event === undefined
          ? answer.messages.map((one: Message) => one.message_id)
          : [answer.event.data.message_id];
      expect(ids).toEqual([sent.message_id]);
      await here.ok("msg inbox --agent A16");
    }
  },
  LONG,
);
