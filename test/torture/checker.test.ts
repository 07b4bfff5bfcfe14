/** The checker of torture can fail: histories that are right, and the same ones doctored. */
import { describe, expect, test } from "bun:test";
import type { EventRow, LeaseRow } from "../support/runtime-tables.ts";
import { judge } from "./checker.ts";
import type { Answered, Asked, Entry, Foreign, Found } from "./history.ts";

const START = 1_000_000;
const CREATED = "2026-01-01T00:00:00.000Z";
const iso = (at: number): string => new Date(START + at).toISOString();

type Data = Readonly<Record<string, unknown>>;

/** One call with one answer. Instants are milliseconds after the beginning. */
function call(
  n: number,
  [from, to]: readonly [number, number],
  command: string,
  agent: string,
  data: Data,
  more: Partial<Asked> & Partial<Pick<Answered, "result" | "code" | "said">> = {},
): Entry[] {
  const { result = "ok", code, said, ...rest } = more;
  const asked = { call: n, attempt: 1, agent, worktree: "main", command, args: [], tasks: ["T"], ...rest };
  return [
    { kind: "asked", at: START + from, ...asked },
    {
      ...{ kind: "answered", at: START + to, call: n, attempt: asked.attempt, result, data },
      ...(code === undefined ? {} : { code }),
      ...(said === undefined ? {} : { said }),
    },
  ];
}

const granted = (agent_id: string, token: number, until: number): Data => ({
  ...{ task_id: "T", agent_id, lease_id: `L${token}`, fencing_token: token, expires_at: iso(until), ttl_seconds: 1 },
});

const lease = (agent_id: string, token: number, from: number, to: number, more: Partial<LeaseRow> = {}): LeaseRow => ({
  ...{ fencing_token: token, task_id: "T", created_at: CREATED, lease_id: `L${token}`, kind: "work", agent_id },
  ...{ session: "main", reopens: "[]", granted_at: START + from, expires_at: START + to, ended: null, ended_at: null },
  ...more,
});

const event = (seq: number, type: string, agent_id: string, data?: Data): EventRow => ({
  ...{ seq, created_at: START + seq, type, agent_id, task_id: "T" },
  data: data === undefined ? null : JSON.stringify(data),
});

const spec = (...tasks: readonly (readonly [id: string, status: string, ...labels: string[]])[]): string =>
  `tasks:\n${tasks
    .map(
      ([id, status, ...labels]) =>
        `  ${id}:\n    title: ${id}\n    status: ${status}\n    labels: [${labels}]\n    created_at: ${CREATED}\n`,
    )
    .join("")}`;

const SPEC = spec(["N", "ready", "l1"], ["T", "done"]);

const FOUND: Found = {
  ...{ kind: "found", at: START + 10_000, outbox: [], agents: ["A", "B"], damaged: [], leftovers: [] },
  doctors: [{ worktree: "main", healthy: true, said: "" }],
  leases: [
    lease("A", 10, 100, 1100, { ended: "expired", ended_at: START + 1100 }),
    lease("B", 20, 2000, 3000, { ended: "done", ended_at: START + 2500 }),
  ],
  outcomes: [{ task_id: "T", created_at: CREATED, version: 1, reopens: "[]", rank: 1, verified: 0 }],
  events: [
    event(100, "task.claimed", "A"),
    event(2000, "task.claimed", "B"),
    event(2500, "task.done", "B", { fencing_token: 20 }),
  ],
  notes: [{ task_id: "T", text: "note 1" }],
  specs: [{ root: "/main", branch: "main", text: SPEC }],
  merged: SPEC,
  listed: [
    { id: "T", status: "done" },
    { id: "N", status: "ready" },
  ],
};

/** A holds T until its time is over, B is granted it and finishes; N is made and labelled. */
const HISTORY: readonly Entry[] = [
  ...call(1, [0, 110], "task claim", "A", granted("A", 10, 1100)),
  ...call(2, [1900, 2010], "task claim", "B", granted("B", 20, 3000)),
  ...call(3, [2400, 2510], "task done", "B", { task_id: "T", status: "done" }, { token: 20, note: "note 1", key: "k" }),
  ...call(4, [2600, 2700], "task create", "A", { id: "N", created_at: CREATED }),
  ...call(5, [2800, 2900], "task update", "A", { id: "N" }, { args: ["N", "--add-label", "l1"], tasks: ["N"] }),
];

const foreign = (
  what: Foreign["what"],
  [from, at]: readonly [number, number],
  overwrote: readonly string[] = [],
): Foreign => ({
  ...{ kind: "foreign", from: START + from, at: START + at, worktree: "main", what, overwrote, added: [] },
});

const judged = (history: readonly Entry[], found: Partial<Found> = {}) => judge([...history, { ...FOUND, ...found }]);
const promises = (history: readonly Entry[], found: Partial<Found> = {}): string[] =>
  [...new Set(judged(history, found).violations.map(({ promise }) => promise))].sort();

test("a history in which everything went well is right, and every acknowledged operation is counted", () => {
  expect(judged(HISTORY)).toEqual({
    violations: [],
    acknowledged: 5,
    lost: 0,
    overwritten: 0,
    put_back: 0,
    in_window: 0,
  });
});

test("a history without an end is none", () => {
  expect(judge(HISTORY).violations).toHaveLength(1);
});

describe("L1: a double grant is found", () => {
  test("in what the holders were told", () => {
    const early = [
      ...HISTORY.slice(0, 2),
      ...call(2, [500, 510], "task claim", "B", granted("B", 20, 3000)),
      ...HISTORY.slice(4),
    ];
    expect(promises(early)).toEqual(["L1"]);
  });

  test("in what the runtime recorded", () => {
    const [first, second] = FOUND.leases as [LeaseRow, LeaseRow];
    expect(promises(HISTORY, { leases: [first, { ...second, granted_at: START + 1099 }] })).toEqual(["L1"]);
  });

  test("and a lease that its holder may have given up is none", () => {
    const released = [
      ...HISTORY.slice(0, 2),
      ...call(6, [200, 300], "task release", "A", { task_id: "T", released: true }),
      ...call(2, [310, 410], "task claim", "B", granted("B", 20, 3000)),
      ...HISTORY.slice(4),
    ];
    const leases = [lease("A", 10, 100, 1100, { ended: "released", ended_at: START + 250 }), lease("B", 20, 400, 3000)];
    expect(promises(released, { leases })).toEqual([]);
  });

  test("and by force another's is given up, by nobody who never held it otherwise", () => {
    const release = (args: readonly string[]) => [
      ...HISTORY,
      ...call(6, [5000, 5100], "task release", "C", { task_id: "T", released: true, already: true }, { args }),
    ];
    expect(promises(release(["T", "--force"]))).toEqual([]);
    expect(promises(release(["T"]))).toEqual(["L6"]);
  });
});

describe("L2: tokens", () => {
  test("that are given out twice are found", () => {
    const again = [
      ...HISTORY,
      ...call(6, [4000, 4100], "task claim", "A", { ...granted("A", 20, 5000), lease_id: "L21" }),
    ];
    expect(promises(again)).toContain("L2");
  });

  test("that do not grow are found", () => {
    const small = [...HISTORY, ...call(6, [4000, 4100], "task claim", "A", granted("A", 15, 5000))];
    expect(promises(small, { leases: [...FOUND.leases, lease("A", 15, 4050, 5000)] })).toEqual(["L2"]);
  });

  test("that are stale and still do something are found", () => {
    const stale = [
      ...HISTORY,
      ...call(6, [2100, 2200], "task renew", "A", { task_id: "T", fencing_token: 10 }, { token: 10 }),
    ];
    expect(
      promises(stale, { events: [...FOUND.events, event(2550, "task.renewed", "A", { fencing_token: 10 })] }),
    ).toEqual(["L2"]);
  });
});

describe("L6: an acknowledged operation that is nowhere is found:", () => {
  test("a grant", () => {
    expect(judged(HISTORY, { leases: FOUND.leases.slice(1) })).toMatchObject({ lost: 1 });
    expect(promises(HISTORY, { leases: FOUND.leases.slice(1) })).toEqual(["L6"]);
  });

  test("a renewal", () => {
    const renewed = [
      ...HISTORY,
      ...call(6, [500, 600], "task renew", "A", { task_id: "T", fencing_token: 10, new_expires_at: iso(1100) }),
    ];
    expect(promises(renewed)).toEqual(["L6"]);
    expect(
      promises(renewed, {
        events: [
          event(100, "task.claimed", "A"),
          event(550, "task.renewed", "A", { fencing_token: 10 }),
          ...FOUND.events.slice(1),
        ],
      }),
    ).toEqual([]);
  });

  test("an outcome that has no event of that time", () => {
    expect(promises(HISTORY, { events: FOUND.events.slice(0, 2) })).toEqual(["L6"]);
    const earlier = [...FOUND.events.slice(0, 2), event(2399, "task.done", "B")];
    expect(promises(HISTORY, { events: earlier })).toEqual(["L6"]);
  });

  test("an outcome that the runtime does not hold", () => {
    expect(promises(HISTORY, { outcomes: [], listed: FOUND.listed })).toEqual(["L6"]);
  });

  test("an agent", () => {
    expect(promises([...HISTORY, ...call(6, [0, 9], "agent join", "C", { agent_id: "C" })])).toEqual(["L6"]);
  });

  test("a note", () => {
    expect(promises(HISTORY, { notes: [] })).toEqual(["L6"]);
  });
});

describe("S3: an acknowledged edit that is nowhere is found:", () => {
  const without = spec(["T", "done"]);
  const listed = FOUND.listed.slice(0, 1);

  test("a task", () => {
    const gone = { merged: without, specs: [{ root: "/main", branch: "main", text: without }], listed };
    expect(promises(HISTORY, gone)).toEqual(["S3"]);
    expect(judged(HISTORY, gone)).toMatchObject({ lost: 2 });
  });

  test("a label", () => {
    const bare = spec(["N", "ready"], ["T", "done"]);
    expect(promises(HISTORY, { merged: bare, specs: [{ root: "/main", branch: "main", text: bare }] })).toEqual(["S3"]);
  });

  test("a task that only the last merge lost (S4)", () => {
    expect(promises(HISTORY, { merged: without, listed })).toEqual(["S4"]);
  });

  test("but not what an editor wrote over: that is counted", () => {
    const gone = { merged: without, specs: [{ root: "/main", branch: "main", text: without }], listed };
    expect(judged([...HISTORY, foreign("edit", [3000, 3100], ["N"])], gone)).toMatchObject({
      ...{ violations: [], lost: 0, overwritten: 1 },
    });
  });

  test("what falls into Git's window is counted, and must be little", () => {
    const gone = { merged: without, specs: [{ root: "/main", branch: "main", text: without }], listed };
    expect(judged([...HISTORY, foreign("merge", [2500, 3100])], gone)).toMatchObject({ violations: [], in_window: 2 });
    const more = call(6, [2600, 2700], "task create", "A", { id: "N2", created_at: CREATED });
    expect(promises([...HISTORY, ...more, foreign("merge", [2500, 3100])], gone)).toEqual(["S3"]);
  });
});

test("S3: what is gone after a merge without our driver is counted and excused; after no other, least of all one that Git refused", () => {
  const text = spec(["T", "done"]);
  const gone = { merged: text, specs: [{ root: "/main", branch: "main", text }], listed: FOUND.listed.slice(0, 1) };
  const merge = foreign("merge", [2500, 3100]);
  const refused = {
    ...merge,
    failed: "error: Your local changes to the following files would be overwritten by merge",
  };
  const byText = { ...merge, what: "merge by text" as const };
  expect(judged([...HISTORY, byText], gone)).toMatchObject({ violations: [], lost: 0, put_back: 2, in_window: 0 });
  expect(judged([...HISTORY, { ...byText, worktree: "w1" }], gone)).toMatchObject({ lost: 2, put_back: 0 });
  expect(judged([...HISTORY, refused], gone)).toMatchObject({ put_back: 0, in_window: 2 });
});

describe("T1: an outcome that goes backwards is found:", () => {
  const verified = [...FOUND.events, event(2600, "task.verified", "B")];

  test("done after verified", () => {
    const outcomes = [{ task_id: "T", created_at: CREATED, version: 1, reopens: "[]", rank: 2, verified: 1 }];
    const text = spec(["N", "ready", "l1"], ["T", "verified"]);
    const listed = [
      { id: "T", status: "verified" },
      { id: "N", status: "ready" },
    ];
    const found = { outcomes, merged: text, specs: [{ root: "/main", branch: "main", text }], listed };
    expect(promises(HISTORY, { ...found, events: verified })).toEqual([]);
    expect(promises(HISTORY, { ...found, events: [...verified, event(2700, "task.done", "A")] })).toEqual(["T1"]);
  });

  test("verified without having been done", () => {
    expect(promises(HISTORY.slice(0, 4), { events: [event(2500, "task.verified", "B")] })).toContain("T1");
  });

  test("reopened without a new name", () => {
    expect(
      promises(HISTORY, { events: [...FOUND.events, event(2600, "task.reopened", "A", { reopens: [] })] }),
    ).toContain("T1");
  });

  test("the runtime's row behind its events", () => {
    expect(promises(HISTORY, { events: verified })).toContain("L6");
  });

  test("and a list that tells otherwise", () => {
    expect(
      promises(HISTORY, {
        listed: [
          { id: "T", status: "ready" },
          { id: "N", status: "ready" },
        ],
      }),
    ).toEqual(["T1"]);
  });
});

describe("L4: a repeated deed is found:", () => {
  const [asked, answered] = HISTORY.slice(4, 6) as [Asked, Answered];

  test("another answer under the same key", () => {
    const first = call(6, [0, 10], "task create", "A", { id: "N" }, { key: "k6", tasks: [] });
    const second = call(6, [20, 30], "task create", "A", { id: "T" }, { key: "k6", attempt: 2, tasks: [] });
    expect(promises([...HISTORY, ...first, ...second])).toEqual(["L4"]);
    expect(
      promises([
        ...HISTORY,
        ...first,
        ...call(6, [20, 30], "task create", "A", { id: "N" }, { key: "k6", attempt: 2, tasks: [] }),
      ]),
    ).toEqual([]);
  });

  test("a note that was posted twice", () => {
    expect(promises(HISTORY, { notes: [...FOUND.notes, ...FOUND.notes] })).toEqual(["L4"]);
  });

  test("while the answer to a repeat may tell of what the first attempt did", () => {
    const lost: Entry[] = [asked, { ...answered, result: "silent" }];
    const again = call(
      3,
      [5000, 5100],
      "task done",
      "B",
      { task_id: "T", status: "done" },
      { ...{ token: 20, note: "note 1", key: "k" }, attempt: 2 },
    );
    expect(promises([...HISTORY.slice(0, 4), ...lost, ...again, ...HISTORY.slice(6)])).toEqual([]);
  });
});

describe("what is left behind is found:", () => {
  test.each([
    ["S2", { leftovers: ["main: .spec.yaml.k3f9.tmp"] }],
    ["L6", { damaged: ["main/runtime.sqlite: row 3 missing from index"] }],
    ["T2", { doctors: [{ worktree: "main", healthy: false, said: "planes" }] }],
    ["T2", { merged: spec(["N", "ready", "l1"], ["T", "ready"]) }],
    [
      "T2",
      {
        specs: [{ root: "/main", branch: "main", text: spec(["N", "ready", "l1"], ["T", "ready"]) }],
        outbox: [
          {
            ...{ outbox_id: 1, target_worktree: "/main", target_branch: "main", change: "done", task_id: "T" },
            ...{ created_at: CREATED, version: 1, reopens: "[]", rank: 1, verified: 0 },
          },
        ],
      },
    ],
  ] as const)("%s", (promise, found) => {
    expect(promises(HISTORY, found)).toEqual([promise]);
  });
});

describe("answers that no process may give are found:", () => {
  test("a defect, and half an envelope", () => {
    const internal = call(6, [0, 9], "task list", "A", {}, { result: "refused", code: "INTERNAL", said: "oh" });
    expect(promises([...HISTORY, ...internal])).toEqual(["Defect"]);
    expect(
      promises([...HISTORY, ...call(6, [0, 9], "task list", "A", {}, { result: "broken", said: '{"ok":tr' })]),
    ).toEqual(["Defect"]);
  });

  test("S2: half a file, read while nobody else wrote", () => {
    const half = call(6, [5000, 5100], "task list", "A", {}, { result: "refused", code: "SPEC_INVALID" });
    expect(promises([...HISTORY, ...half])).toEqual(["S2"]);
    expect(promises([...HISTORY, ...half, foreign("edit in place", [5050, 5060])])).toEqual([]);
  });
});
