/** `task graph`: which part of the plan it shows, and what it says of it. */
import { describe, expect, test } from "bun:test";
import { bigSpec } from "../fixtures/spec/render.ts";
import { type Sandbox, sandbox } from "../support/sandbox.ts";

/** A → B → C → D with E beside B, F on its own, X gone, GONE never there, and a circle of two. */
const SPEC = `tasks:
  A: {title: First, status: verified, priority: 1, verified_at: 2026-01-01T00:00:00Z}
  B: {title: Second, status: ready, depends_on: [A], priority: 2}
  C: {title: Third, status: todo, depends_on: [B, E], priority: 3}
  D: {title: Fourth, status: ready, depends_on: [C, C, A], priority: 4}
  E: {title: Beside, status: done, depends_on: [A], priority: 5}
  F: {title: Alone, status: blocked, depends_on: [GONE, X], priority: 6}
  X: {title: Removed, status: deleted}
  R1: {title: Round, status: ready, depends_on: [R2]}
  R2: {title: And round, status: ready, depends_on: [R1]}
`;

function repository(spec = SPEC): Sandbox {
  const here = sandbox();
  here.write(".lodestar/spec.yaml", spec);
  return here;
}

interface Graph {
  readonly nodes: readonly { readonly id: string; readonly claimable?: true; readonly claimed_by?: string }[];
  readonly edges: readonly { readonly from: string; readonly to: string }[];
  readonly critical_path?: readonly string[];
}

async function graph(here: Sandbox, ...args: string[]): Promise<Graph> {
  const { exit, json } = await here.run(["task", "graph", ...args, "--json"]);
  expect({ exit, error: json.error }).toEqual({ exit: 0, error: undefined });
  return json.data;
}
const ids = ({ nodes }: Graph) => nodes.map(({ id }) => id).join(" ");
const links = ({ edges }: Graph) => edges.map(({ from, to }) => `${from}>${to}`).join(" ");

describe("the graph", () => {
  test("has every task that is not deleted, and an edge from each dependency to what waits for it", async () => {
    using here = repository();
    const data = await graph(here);
    expect(ids(data)).toBe("A B C D E F R1 R2");
    expect(links(data)).toBe("A>B B>C E>C C>D A>D A>E R2>R1 R1>R2");
    expect(data).toMatchObject({
      critical_path: ["B", "C", "D"],
      in_cycle: ["R1", "R2"],
      missing: [
        { from: "GONE", to: "F" },
        { from: "X", to: "F" },
      ],
    });
    expect(data.nodes.flatMap(({ id, claimable }) => (claimable ? [id] : []))).toEqual(["B"]);
  });

  test("knows outcomes and holders of the runtime", async () => {
    using here = repository();
    await here.run(["agent", "join", "--id", "ALICE"]);
    expect((await here.run(["task", "claim", "B", "--agent", "ALICE"])).exit).toBe(0);
    const held = await graph(here);
    expect(held.nodes.filter(({ claimed_by }) => claimed_by !== undefined)).toMatchObject([
      { id: "B", status: "ready", claimed_by: "ALICE" },
    ]);
    expect(held.nodes.filter(({ claimable }) => claimable)).toEqual([]);
    await here.run(["task", "done", "B", "--agent", "ALICE", "--verify"]);
    expect((await graph(here)).critical_path).toEqual(["E", "C", "D"]);
  });

  test("--root shows what the task waits for and what waits for it, --depth so many steps", async () => {
    using here = repository();
    expect(ids(await graph(here, "--root", "B"))).toBe("A B C D");
    expect(ids(await graph(here, "--root", "B", "--depth", "1"))).toBe("A B C");
    expect(ids(await graph(here, "--root", "C"))).toBe("A B C D E");
    expect(ids(await graph(here, "--root", "R1"))).toBe("R1 R2");
    expect(ids(await graph(here, "--root", "X"))).toBe("F X");
  });

  test("--status shows tasks of these statuses, and the edges between them", async () => {
    using here = repository();
    const data = await graph(here, "--status", "verified", "--status", "done");
    expect(ids(data)).toBe("A E");
    expect(links(data)).toBe("A>E");
    expect(ids(await graph(here, "--status", "deleted"))).toBe("X");
  });

  test("--depth alone is refused", async () => {
    using here = repository();
    const { exit, stderr } = await here.run(["task", "graph", "--depth", "2"]);
    expect({ exit, stderr }).toEqual({
      exit: 2,
      stderr:
        "Error: --depth counts steps from a task: it needs --root.\nHint: Give --root ID, or leave --depth out.\n",
    });
  });
});

describe("what is printed", () => {
  test.each([
    ["dot", /^digraph tasks \{\n[\s\S]*\n\}\n$/],
    ["mermaid", /^flowchart LR\n/],
    ["svg", /^<svg [\s\S]*<\/svg>\n$/],
    ["json", /^\{"ok":true,"data":\{"nodes":\[/],
    ["outline", /^8 tasks: /],
  ])("--format %s is the document and nothing else", async (format, shape) => {
    using here = repository();
    const { exit, stdout, stderr } = await here.run(["task", "graph", "-f", format]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout).toMatch(shape);
    expect(stdout).not.toContain("Next steps");
    // With --json the format makes no difference.
    expect(await graph(here, "-f", format)).toEqual(await graph(here));
  });

  test("10 000 tasks as JSON and as DOT", async () => {
    using here = repository(bigSpec(10_000).toString());
    expect((await graph(here)).nodes).toHaveLength(10_000);
    const { exit, stdout } = await here.run(["task", "graph", "--format", "dot"]);
    expect(exit).toBe(0);
    expect(stdout.match(/label=/g)).toHaveLength(10_000);
  }, 60_000);

  test("a picture that nobody could read is refused, with the way out", async () => {
    using here = repository(bigSpec(1001).toString());
    const { exit, json } = await here.run(["task", "graph", "--format", "svg", "--json"]);
    expect(exit).toBe(2);
    expect(json.error).toMatchObject({ code: "USAGE", details: { tasks: 1001, limit: 1000 } });
    expect(json.error.message).toContain("1001 tasks");
    expect(json.error.hint).toContain("--root");
    const near = await here.run(["task", "graph", "--format", "svg", "--root", "TASK-000500", "--depth", "2"]);
    expect({ exit: near.exit, cards: near.stdout.match(/graphics-symbol/g)?.length }).toEqual({ exit: 0, cards: 5 });
  });

  test("Mermaid says when a page will refuse to draw it", async () => {
    const hub = Array.from({ length: 501 }, (_, i) => `  W${i}: {title: x, status: ready, depends_on: [HUB]}`);
    using here = repository(`tasks:\n  HUB: {title: x, status: ready}\n${hub.join("\n")}\n`);
    const { exit, stderr } = await here.run(["task", "graph", "--format", "mermaid"]);
    expect(exit).toBe(0);
    expect(stderr).toContain("Mermaid refuses more than 500 edges");
  });
});
