/** The forms of the task graph: read back by the parsers that read them elsewhere, looked at for what a reader needs. */
import { describe, expect, mock, test } from "bun:test";
import { instance } from "@viz-js/viz";
import fc from "fast-check";
import { STATES, stateOf, type TaskGraph } from "../../src/core/task-graph.ts";
import { layOut } from "../../src/render/graph/layout.ts";
import { PALETTES } from "../../src/render/graph/svg.ts";
import { cutMiddle, linesWithin, widthOf } from "../../src/render/graph/text.ts";
import { drawGraph, drawn, labelTitle } from "../../src/render/graph.ts";
import { sanitise, sanitiseLine } from "../../src/render/sanitise.ts";
import { type Paint, plain, renderTerminal } from "../../src/render/terminal.ts";

const PIPE = { width: Number.POSITIVE_INFINITY, paint: plain };
const TERMINAL = { width: 80, paint: plain };

/** Texts that mean something to one of the formats, to a shell, a terminal or a browser. */
const HOSTILE = [
  'say "hello"',
  "a `code` and ``two``",
  "one\ntwo\r\nthree",
  "a --> b; c -.-> d",
  "end",
  "subgraph x",
  "click t1 href javascript:alert(1)",
  "<script>alert(1)</script><img src=x onerror=alert(1)>",
  "]]>&amp;&lt;&#x41;#35;#quot;",
  "%%{init: {'theme':'dark'}}%%",
  "back\\slash\\n\\N\\G\\",
  "日本語 emoji 👩‍👩‍👧‍👧 ünï e\u0301",
  "\u001b[31mred\u001b[0m \u0007 \u202Eorder \u2066x",
  "lone \ud800 half, \ufffe and \u0000",
  "$(touch x) `touch y` $HOME",
  '"]:::x',
  "A".repeat(400),
  "   ",
  "",
];

const hostile: TaskGraph = {
  nodes: HOSTILE.flatMap((text, i) => [
    { id: `T-${i}`, title: text, status: "ready" as const, priority: i, claimed_by: text === "" ? "A" : text },
    { id: text === "" || text === "   " ? `empty-${i}` : text, title: "plain", status: "todo" as const, priority: i },
  ]),
  edges: HOSTILE.flatMap((text, i) => (text.trim() === "" ? [] : [{ from: `T-${i}`, to: text }])),
  missing: [{ from: 'gone "x" <y> end', to: "T-0" }],
};

/** Every node, edge and state at once. */
const rich: TaskGraph = {
  nodes: [
    ...STATES.map((state) => ({
      id: `S-${state}`,
      title: `A task that is ${state}`,
      status: state === "waiting" || state === "claimed" ? ("ready" as const) : state,
      priority: 1,
      ...(state === "ready" ? { claimable: true } : {}),
      ...(state === "claimed" ? { claimed_by: "A7K3M9QXV" } : {}),
    })),
    { id: "C1", title: "One", status: "ready", priority: 1 },
    { id: "C2", title: "Two", status: "ready", priority: 1 },
    { id: "SELF", title: "Itself", status: "ready", priority: 1 },
  ],
  edges: [
    { from: "S-verified", to: "S-ready" },
    { from: "S-ready", to: "S-waiting" },
    { from: "S-todo", to: "S-waiting" },
    { from: "C1", to: "C2" },
    { from: "C2", to: "C1" },
    { from: "SELF", to: "SELF" },
  ],
  critical_path: ["S-ready", "S-waiting"],
  in_cycle: ["C1", "C2", "SELF"],
  missing: [{ from: "GONE", to: "S-todo" }],
};

test("the rich graph shows every state", () => {
  expect(rich.nodes.slice(0, STATES.length).map(stateOf)).toEqual([...STATES]);
});

describe("DOT, read by Graphviz", () => {
  interface Read {
    readonly objects: readonly { readonly name: string; readonly _ldraw_: readonly { op: string; text?: string }[] }[];
    readonly edges: readonly { readonly tail: number; readonly head: number }[];
  }
  async function read(graph: TaskGraph): Promise<Read> {
    const viz = await instance();
    const result = viz.render(await drawGraph(graph, "dot", PIPE), { format: "json", engine: "dot" });
    // It has no widths for some letters, and says so.
    expect(result.errors.filter(({ message }) => !message.includes("no value for width"))).toEqual([]);
    return JSON.parse(result.output ?? "") as Read;
  }

  test("texts arrive as they are, whatever is in them", async () => {
    const { objects, edges } = await read(hostile);
    expect(objects).toHaveLength(hostile.nodes.length + 1);
    for (const [i, { id, title }] of hostile.nodes.entries()) {
      // Graphviz draws `\\` as one backslash; only its JSON writes the text as it was given.
      const shown = objects[i]?._ldraw_
        .filter(({ op }) => op === "T")
        .map(({ text = "" }) => text.replaceAll("\\\\", "\\"));
      expect(shown?.[0]).toBe(sanitiseLine(id));
      if (title.trim() !== "") expect(shown?.[1]).toBe(sanitiseLine(labelTitle(title)));
    }
    const ids = [...hostile.nodes.map(({ id }) => id), 'gone "x" <y> end'];
    expect(edges.map(({ tail, head }) => ({ from: ids[tail], to: ids[head] }))).toEqual([
      ...hostile.edges,
      ...(hostile.missing ?? []),
    ]);
  });

  test("nodes are named by their ids, and different ids stay different", async () => {
    const node = (id: string) => ({ id, title: "", status: "ready" as const, priority: 1 });
    const ids = ["AUTH-1", "a\u0001", "a␁", "b\\", "b\\\\", 'c"', "a␁#2"];
    const { objects } = await read({ nodes: ids.map(node), edges: [] });
    expect(new Set(objects.map(({ name }) => name)).size).toBe(ids.length);
    expect(objects[0]?.name).toBe("AUTH-1");
  });

  test("a graph without tasks is one", async () => {
    expect(await drawGraph({ nodes: [], edges: [] }, "dot", PIPE)).toMatch(/^digraph tasks \{\n[\s\S]*\}$/);
    await read({ nodes: [], edges: [] });
  });
});

describe("Mermaid, read by its own parser", () => {
  interface Db {
    getVertices(): Map<string, { readonly id: string; readonly text: string; readonly classes: readonly string[] }>;
    getEdges(): readonly { readonly start: string; readonly end: string; readonly stroke: string }[];
  }
  async function read(graph: TaskGraph): Promise<Db> {
    // DOMPurify needs a browser; what it would remove is not what is tested here.
    mock.module("dompurify", () => ({ default: { addHook: () => {}, sanitize: (html: string) => html } }));
    const { default: mermaid } = await import("mermaid");
    const text = await drawGraph(graph, "mermaid", PIPE);
    expect(await mermaid.parse(text)).toMatchObject({ diagramType: "flowchart-v2" });
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    return db as unknown as Db;
  }
  /** Mermaid keeps entities in a form of its own until it draws. */
  const decoded = (text: string) => text.replaceAll(/ﬂ°°(\d+)¶ß/g, (_, code) => String.fromCodePoint(Number(code)));

  test("texts arrive as they are, whatever is in them", async () => {
    const db = await read(hostile);
    const vertices = [...db.getVertices().values()];
    expect(vertices).toHaveLength(hostile.nodes.length + 1);
    for (const [i, { id, title }] of hostile.nodes.entries()) {
      const raw = vertices[i]?.text ?? "";
      // The only HTML in a label is our line break.
      expect(raw.replaceAll("<br>", "")).not.toMatch(/[<>"`&]/);
      const lines = raw.split("<br>").map(decoded);
      expect(lines[0]).toBe(sanitiseLine(id));
      if (title.trim() !== "") expect(lines[1]).toBe(sanitiseLine(labelTitle(title)));
    }
    expect(db.getEdges()).toHaveLength(hostile.edges.length + 1);
  }, 60_000);

  test("states, the critical path and circles are told apart", async () => {
    const db = await read(rich);
    const vertices = [...db.getVertices().values()];
    expect(vertices.slice(0, STATES.length).map(({ classes }) => classes[0])).toEqual([...STATES]);
    expect(vertices.filter(({ classes }) => classes.includes("critical"))).toHaveLength(2);
    expect(db.getEdges().filter(({ stroke }) => stroke === "thick")).toHaveLength(1);
    expect(db.getEdges().filter(({ stroke }) => stroke === "dotted")).toHaveLength(4);
  }, 60_000);
});

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
}

/** A strict reader of XML, as far as a picture uses it: whatever it does not know is an error. */
function readXml(source: string): Element[] {
  const decoded = (text: string) => {
    expect(text.replaceAll(/&(?:amp|lt|gt|quot|#39);/g, "")).not.toMatch(/[&<]/);
    const known: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
    return text.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_, name) => known[name as string] ?? "");
  };
  // What XML does not allow, written or not.
  expect(source.isWellFormed()).toBe(true);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for.
  expect(source).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
  const elements: Element[] = [];
  const open: { name: string; attributes: Record<string, string>; text: string }[] = [];
  let at = 0;
  for (const match of source.matchAll(/<(\/?)([a-zA-Z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(\/?)>|([^<]+)/g)) {
    expect(match.index).toBe(at);
    at += match[0].length;
    const [, closing, name = "", list = "", alone, text] = match;
    if (text !== undefined) {
      const last = open.at(-1);
      if (last !== undefined) last.text += last.name === "style" ? text : decoded(text);
    } else if (closing === "/") {
      const element = open.pop();
      expect(element?.name).toBe(name);
      if (element !== undefined) elements.push(element);
    } else {
      const pairs = [...list.matchAll(/ ([a-zA-Z:-]+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [
        key,
        unescape(value),
      ]);
      expect(new Set(pairs.map(([key]) => key)).size).toBe(pairs.length);
      const element = { name, attributes: Object.fromEntries(pairs) as Record<string, string>, text: "" };
      if (alone === "/") elements.push(element);
      else open.push(element);
    }
  }
  expect(at).toBe(source.length);
  expect(open).toEqual([]);
  return elements;
}

describe("SVG", () => {
  test("is well-formed, runs nothing and loads nothing, whatever the texts", async () => {
    const source = await drawGraph(hostile, "svg", PIPE);
    const elements = readXml(source);
    const used = new Set(elements.map(({ name }) => name));
    const known = [
      "circle",
      "clipPath",
      "defs",
      "desc",
      "g",
      "marker",
      "path",
      "rect",
      "style",
      "svg",
      "symbol",
      "text",
      "title",
      "use",
    ];
    expect([...used].filter((name) => !known.includes(name))).toEqual([]);
    for (const { attributes } of elements) {
      for (const [name, value] of Object.entries(attributes)) {
        expect(name).not.toMatch(/^on/);
        if (name === "href") expect(value).toMatch(/^#lodestar-/);
        if (value.includes("url(")) expect(value).toMatch(/^url\(#lodestar-[a-z-]+\)$/);
      }
    }
    const style = elements.find(({ name }) => name === "style")?.text ?? "";
    expect(style).not.toMatch(/url\(|@import|@font-face|<|&/);
    const told = elements.flatMap(({ name, text }) => (name === "title" ? [text] : []));
    for (const { id } of hostile.nodes)
      expect(
        told.some((text) => text.startsWith(`${sanitiseLine(id)}: `.replaceAll(/[\ufffe\uffff]/g, "\ufffd"))),
      ).toBe(true);
  });

  test("every reference has its target", async () => {
    const source = await drawGraph(rich, "svg", PIPE);
    const ids = [...source.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of source.matchAll(/(?:href="|url\()#([a-z-]+)/g)) expect(ids).toContain(id as string);
    for (const id of /aria-labelledby="([^"]+)"/.exec(source)?.[1]?.split(" ") ?? []) expect(ids).toContain(id);
  });

  test("says all that it shows in words, too", async () => {
    const elements = readXml(await drawGraph(rich, "svg", PIPE));
    const cards = elements.filter(({ attributes }) => attributes.role === "graphics-symbol img");
    expect(cards.map(({ attributes }) => attributes["aria-label"])).toEqual(
      expect.arrayContaining([
        "S-claimed: A task that is claimed (claimed by A7K3M9QXV, priority 1)",
        "S-waiting: A task that is waiting (waiting, priority 1, waits for S-ready, S-todo)",
        "GONE: there is no such task",
      ]),
    );
    const desc = elements.find(({ name }) => name === "desc")?.text;
    expect(desc).toContain("Critical path: S-ready, S-waiting.");
    expect(desc).toContain("In a circle: C1, C2, SELF.");
    expect(desc).toContain("Missing: GONE.");
    // Each state has a sign and a word of its own: colour is not needed to tell them apart.
    const words = elements.filter(({ attributes }) => attributes.class === "state").map(({ text }) => text);
    for (const state of STATES) expect(words).toContain(state);
    const signs = elements.filter(({ name }) => name === "use").map(({ attributes }) => attributes.href);
    for (const state of STATES) expect(signs).toContain(`#lodestar-${state}`);
  });

  test.each(Object.entries(PALETTES))("every text can be read on its ground: %s", (_, palette) => {
    const luminance = (colour: string) => {
      const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
        const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a: string, b: string) => {
      const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
      return (light + 0.05) / (dark + 0.05);
    };
    for (const look of [...STATES, "missing", "text", "faint"] as const) {
      for (const ground of ["card", "tint", "page"] as const) {
        expect({ look, ground, enough: contrast(palette[look], palette[ground]) >= 4.5 }).toMatchObject({
          enough: true,
        });
      }
    }
    expect(contrast(palette.edge, palette.page)).toBeGreaterThanOrEqual(3);
  });

  test("follows the reader's choice of light or dark", async () => {
    const source = await drawGraph(rich, "svg", PIPE);
    expect(source).toContain("@media (prefers-color-scheme:dark)");
    expect(source.split("@media")[1]).toContain(PALETTES.dark.page);
  });
});

describe("the layout", () => {
  const graphs = fc.integer({ min: 1, max: 40 }).chain((count) =>
    fc.record({
      heights: fc.array(fc.integer({ min: 40, max: 90 }), { minLength: count, maxLength: count }),
      // Any edges at all: circles and loops are drawn, too.
      links: fc.array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { maxLength: count * 2 }),
    }),
  );

  test("no box lies on another, and every arrow leads from its task to the other", async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ heights, links }) => {
        const boxes = heights.map((height, i) => ({ id: `n${i}`, width: 236, height }));
        const edges = [...new Set(links.map(([a, b]) => `n${a} n${b}`))].map((text) => {
          const [from = "", to = ""] = text.split(" ");
          return { from, to };
        });
        const layout = await layOut(boxes, edges, "n0");
        const placed = boxes.map((box) => ({
          ...box,
          ...(layout.boxes.get(box.id) ?? { x: Number.NaN, y: Number.NaN }),
        }));
        for (const [i, a] of placed.entries()) {
          expect(a.x).toBeGreaterThanOrEqual(-1);
          expect(a.y).toBeGreaterThanOrEqual(-1);
          expect(a.x + a.width).toBeLessThanOrEqual(layout.width + 1);
          expect(a.y + a.height).toBeLessThanOrEqual(layout.height + 1);
          for (const b of placed.slice(i + 1)) {
            const apart = a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y || b.y + b.height < a.y;
            expect(apart).toBe(true);
          }
        }
        const near = (point: { x: number; y: number } | undefined, id: string) => {
          const box = placed.find((one) => one.id === id);
          if (point === undefined || box === undefined) return false;
          const slack = 8;
          return (
            point.x >= box.x - slack &&
            point.x <= box.x + box.width + slack &&
            point.y >= box.y - slack &&
            point.y <= box.y + box.height + slack
          );
        };
        for (const [i, { from, to }] of edges.entries()) {
          const curve = layout.curves[i];
          expect((curve?.length ?? 0) % 3).toBe(1);
          expect({ from, to, starts: near(curve?.[0], from), ends: near(curve?.at(-1), to) }).toEqual({
            from,
            to,
            starts: true,
            ends: true,
          });
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test("is the same each time", async () => {
    expect(await drawGraph(rich, "svg", PIPE)).toBe(await drawGraph(rich, "svg", PIPE));
  });

  test("a long chain runs down, not out of the screen", async () => {
    const boxes = Array.from({ length: 60 }, (_, i) => ({ id: `n${i}`, width: 236, height: 60 }));
    const links = boxes.slice(1).map(({ id }, i) => ({ from: `n${i}`, to: id }));
    const { width, height } = await layOut(boxes, links, undefined);
    expect(width).toBeLessThan(400);
    expect(height).toBeGreaterThan(60 * 60);
  });
});

describe("texts in a picture", () => {
  test("are cut to what fits, between characters that people see", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 120 }), fc.integer({ min: 60, max: 400 }), (text, room) => {
        const lines = linesWithin(text, room, 13, 2);
        expect(lines.length).toBeLessThanOrEqual(2);
        for (const line of lines) expect(widthOf(line, 13)).toBeLessThanOrEqual(room + 13);
      }),
    );
    expect(linesWithin("Add the login form", 400, 13, 2)).toEqual(["Add the login form"]);
    expect(linesWithin("", 400, 13, 2)).toEqual([]);
  });

  test("a long id keeps its beginning and its end", () => {
    expect(cutMiddle("AUTH-001", 10)).toBe("AUTH-001");
    expect(cutMiddle("A-VERY-LONG-PREFIX-OF-AN-ID-0042", 16)).toBe("A-VERY-LO…D-0042");
  });
});

describe("the outline", () => {
  test("reads well at 80 columns", async () => {
    expect(`\n${await drawGraph(rich, "outline", TERMINAL)}\n`).toMatchInlineSnapshot(`
      "
      11 tasks: · 1 todo, ○ 4 waiting, ● 1 ready, ◐ 1 claimed, ✗ 1 blocked, ✓ 1 done,
      ✔ 1 verified, ⌫ 1 deleted
      ○ C1  One  waiting
        in a circle
      ○ C2  Two  waiting
        in a circle
      ✗ S-blocked  A task that is blocked  blocked
      ◐ S-claimed  A task that is claimed  claimed by A7K3M9QXV
      ⌫ S-deleted  A task that is deleted  deleted
      ✓ S-done  A task that is done  done
      · S-todo  A task that is todo  todo
        waits for GONE (missing)
      ✔ S-verified  A task that is verified  verified
        ● S-ready  A task that is ready  ready *
          ○ S-waiting  A task that is waiting  waiting *
            also waits for S-todo
      ○ SELF  Itself  waiting
        in a circle
      * critical path: 2 tasks to verify one after the other
      Indented: waits for the task above. As a picture: --format svg
      "
    `);
  });

  test("never leaves the page, and shows every task once, in whatever graph", async () => {
    const graphs = fc.integer({ min: 1, max: 30 }).chain((count) =>
      fc.record({
        titles: fc.array(fc.string({ unit: "grapheme", maxLength: 120 }), { minLength: count, maxLength: count }),
        edges: fc.array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { maxLength: count * 2 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(graphs, async ({ titles, edges }) => {
        const graph: TaskGraph = {
          nodes: titles.map((title, i) => ({ id: `<T${i}>`, title, status: "ready", priority: i })),
          edges: edges.filter(([a, b]) => a < b).map(([a, b]) => ({ from: `<T${a}>`, to: `<T${b}>` })),
        };
        const lines = (await drawGraph(graph, "outline", TERMINAL)).split("\n");
        for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80);
        for (const { id } of graph.nodes) expect(lines.filter((line) => line.includes(`○ ${id} `))).toHaveLength(1);
      }),
    );
  });

  test("a chain of 5 000 tasks is 5 000 lines", async () => {
    const nodes = Array.from({ length: 5000 }, (_, i) => ({
      id: `T${i}`,
      title: "x",
      status: "ready" as const,
      priority: 1,
    }));
    const edges = nodes.slice(1).map(({ id }, i) => ({ from: `T${i}`, to: id }));
    const lines = (await drawGraph({ nodes, edges }, "outline", TERMINAL)).split("\n");
    expect(lines).toHaveLength(5002);
    expect(lines.at(-2)).toContain("(4999) ○ T4999");
  });
});

describe("without a format", () => {
  test("a terminal gets the outline, anything else the JSON of 1.0", async () => {
    const [shown] = await drawn([{ kind: "graph", graph: rich }], TERMINAL);
    expect(shown).toEqual({ kind: "drawn", text: await drawGraph(rich, "outline", TERMINAL) });
    const [piped] = await drawn([{ kind: "graph", graph: rich }], PIPE);
    expect(JSON.parse(piped?.kind === "text" ? piped.text : "")).toEqual({
      ok: true,
      data: rich,
      next: [],
      warnings: [],
    });
  });

  test("on a colour terminal the outline's own colours act, and nothing else does", async () => {
    const paint: Paint = (_tone, text) => `\u001b[1m${text}\u001b[22m`;
    for (const graph of [rich, hostile]) {
      const uncoloured = renderTerminal(await drawn([{ kind: "graph", graph }], TERMINAL), TERMINAL);
      const page = { width: TERMINAL.width, paint };
      const coloured = renderTerminal(await drawn([{ kind: "graph", graph }], page), page);
      expect(coloured).toContain("\u001b[1m");
      expect(Bun.stripANSI(coloured)).toBe(uncoloured);
      expect(sanitise(uncoloured)).toBe(uncoloured);
    }
  });

  test("JSON is the same value, and nothing in it acts on a terminal", async () => {
    const text = await drawGraph(hostile, "json", PIPE);
    expect(JSON.parse(text).data).toEqual(JSON.parse(JSON.stringify(hostile)));
    expect(sanitiseLine(text)).toBe(text);
  });
});
