/** What is made of a benchmark's figures: the page and the plot. */
import { describe, expect, test } from "bun:test";
import { plot } from "../../scripts/bench/plot.ts";
import { type CallRow, type Results, resultsPage } from "../../scripts/bench/results.ts";
import { type GrantsRow, runtimePage } from "../../scripts/bench/runtime-results.ts";

const call = (tasks: number, command: string, ms: number, floor: CallRow["floor"], floorMs: number): CallRow => ({
  ...{ tasks, command, median_ms: ms, quartiles_ms: [ms - 1, ms + 1], floor, floor_ms: floorMs },
  ...{ ratio: ms / floorMs, ratio_quartiles: [1, 2], aim: tasks > 10_000 ? 1.4 : 1.3 },
});
const waits = { p50_ms: 10, p90_ms: 20, p99_ms: 30, longest_ms: 1234 };

const FOUND: Results = {
  machine: { processor: "Some CPU", cores: 2, kernel: "Linux 6.1", bun: "1.4.5" },
  ...{ lodestar: "2.0.0", commit: "0123456789abcdef", date: "2026-11-28T10:00:00.000Z", load: 0.31, runs: 21 },
  calls: [10, 1000, 10_000, 100_000].flatMap((tasks, i) => [
    call(tasks, "task next --json", [10, 10, 10, 14][i] ?? 0, "Q", 8),
    call(tasks, "task claim", 12, "C", 9),
    call(tasks, "task done", [18, 25, 60, 400][i] ?? 0, "W", [13, 20, 45, 300][i] ?? 0),
  ]),
  works: [{ tasks: 10_000, work: "task import of that many", runs: 5, ...figures(1601), aim_ms: 1500 }],
  memory: [{ tasks: 10, command: "task next --json", megabytes: 41, floor_megabytes: 27, ratio: 1.52, aim: 1.5 }],
  drains: [
    {
      ...{ tool: "Lodestar 2.0.0", tasks: 1000, workers: 64, seconds: 41, done: 1000, given_twice: 0, failed: 0 },
      ...{ done_per_second: 24.4, take: waits, finish: waits },
    },
  ],
  writers: [{ what: "task claim", writers: 64, rounds: 3, failed: 0, ...waits }],
  peers: [10, 1000, 10_000].flatMap((tasks, i) => {
    const peer = { tasks, tool: "Peer 1.0", runs: 21, lodestar_ms: 10 };
    return [
      { ...peer, command: "asking what is next", ...(i === 2 ? {} : figures(500 + 1300 * i)) },
      { ...peer, command: "taking a task", ...figures(490 + 900 * i) },
    ];
  }),
};

function figures(ms: number) {
  return { median_ms: ms, quartiles_ms: [ms - 1, ms + 1] as const };
}

describe("the page of a benchmark", () => {
  const page = resultsPage(FOUND);

  test("says on which machine it was measured, and what else that did", () => {
    expect(page).toContain("Some CPU, 2 cores, Linux 6.1, Bun 1.4.5; Lodestar 2.0.0 at 0123456789ab, 2026-11-28");
    expect(page).toContain("0.3 programs wanted a core");
  });

  test("has a line for each call and a column for each size, and says which aims are reached", () => {
    expect(page).toContain("| command | aim | 10 tasks | 1 000 tasks | 10 000 tasks | 100 000 tasks |");
    expect(page).toContain(
      "| `task next --json` | ≤ 1.3 … 1.4 × Q | 10 ms = 1.25 × Q ✓ | 10 ms = 1.25 × Q ✓ | 10 ms = 1.25 × Q ✓ | 14 ms = 1.75 × Q ✗ |",
    );
    expect(page).toContain("| task import of that many | 1 601 ms (aim 1 500) ✗ |");
  });

  test("names a peer that gave no answer, and how often Lodestar's time the others took", () => {
    expect(page).toContain("| Peer 1.0 | asking what is next | 500 ms = 50 × | 1 800 ms = 180 × | no answer in time |");
  });

  test("leaves out what was not measured", () => {
    const few = resultsPage({ ...FOUND, peers: [], drains: [], writers: [], memory: [], works: [] });
    expect([...few.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual(["Calls"]);
  });
});

describe("the plot of a benchmark", () => {
  const picture = plot(FOUND);
  const names = [...picture.matchAll(/<text class="name[^"]*" x="[\d.]+" y="([\d.]+)">([^<]*)</g)].map(
    ([, y, name = ""]) => ({ y: Number(y), name: name.replace(/ · .*/, "") }),
  );

  test("names each line at its end, and no two names overlap", () => {
    expect(names.map(({ name }) => name)).toEqual([
      ...["Peer 1.0: list", "Peer 1.0: edit", "task done", "task claim", "task next"],
      ...["W: commit, file written", "C: open, commit", "Q: open, query"],
    ]);
    const heights = names.map(({ y }) => y).sort((a, b) => a - b);
    for (const [i, height] of heights.slice(1).entries()) {
      expect(height - (heights[i] ?? 0)).toBeGreaterThanOrEqual(16);
    }
  });

  test("ten times as many tasks are as far to the right at any place", () => {
    const [line = ""] = picture.match(/<path class="line c" d="[^"]*"/) ?? [];
    const [ten = 0, thousand = 0, tenThousand = 0, most = 0] = [...line.matchAll(/[ML]([\d.]+)/g)].map(([, x]) =>
      Number(x),
    );
    expect((thousand - ten) / 2).toBeCloseTo(tenThousand - thousand, 0);
    expect(most - tenThousand).toBeCloseTo(tenThousand - thousand, 0);
  });

  test("is well-formed, loads nothing, and knows the dark", () => {
    expect(picture).toContain("prefers-color-scheme: dark");
    expect(picture.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|href|url\(/);
    const open: string[] = [];
    for (const [, close, name, self] of picture.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
      if (close === "/") expect(open.pop()).toBe(name ?? "");
      else if (self === "") open.push(name ?? "");
    }
    expect(open).toEqual([]);
  });
});

describe("the page of a benchmark of runtimes", () => {
  const { machine, lodestar, commit, date, load } = FOUND;
  const row = (agents: number, by: GrantsRow["by"], refused = 0): GrantsRow => ({
    ...{ agents, by, per_second: 100 * agents, p50_ms: 1.25, p99_ms: 20, refused },
  });
  const page = runtimePage({
    ...{ machine, lodestar, commit, date, load, seconds: 3, server: "PostgreSQL 15.1" },
    grants: [row(256, "sqlite", 7), row(1, "sqlite"), row(1, "postgres"), row(1, "bare")],
  });

  test("has a line for each number of agents and a column for each runtime, and tells of calls that were sent away", () => {
    expect(page).toContain("Some CPU, 2 cores");
    expect(page).toContain("PostgreSQL 15.1. 3 s of each.");
    expect(page).toContain("| agents | SQLite | PostgreSQL | bare upsert |");
    expect(page).toContain("| 1 | 100/s, 1.3 / 20.0 ms | 100/s, 1.3 / 20.0 ms | 100/s, 1.3 / 20.0 ms |");
    expect(page).toContain("| 256 | 25600/s, 1.3 / 20.0 ms, 7 refused |  |  |");
  });
});
