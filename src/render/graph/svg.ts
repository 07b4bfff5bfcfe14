import { type GraphNode, type State, stateOf, type TaskGraph } from "../../core/task-graph.ts";
import { sanitiseLine } from "../sanitise.ts";
import { layOut, type Point } from "./layout.ts";
import { countStates, type DrawnEdge, type Parts, partsOf, stateText } from "./parts.ts";
import { cutMiddle, linesWithin, widthOf } from "./text.ts";

/** A state, or what is no task. */
type Look = State | "missing";

/** The signs of the states on a field of 12 by 12: told apart by shape, so that colour only helps. */
const SIGNS: Readonly<Record<Look, string>> = {
  todo: '<circle cx="6" cy="6" r="4.6" class="lodestar-l" stroke-dasharray="2 1.6"/>',
  waiting: '<circle cx="6" cy="6" r="4.6" class="lodestar-l"/><path d="M6 3.4V6.2L7.9 7.4" class="lodestar-l"/>',
  ready: '<circle cx="6" cy="6" r="5.4" class="lodestar-f"/><path d="M4.8 3.6L8.6 6L4.8 8.4Z" class="lodestar-c"/>',
  claimed:
    '<circle cx="6" cy="6" r="4.6" class="lodestar-l"/><path d="M6 1.4A4.6 4.6 0 0 1 6 10.6Z" class="lodestar-f"/>',
  blocked: '<circle cx="6" cy="6" r="4.6" class="lodestar-l"/><path d="M2.9 2.9L9.1 9.1" class="lodestar-l"/>',
  done: '<path d="M2 6.6L4.8 9.4L10.2 3" class="lodestar-l"/>',
  verified: '<circle cx="6" cy="6" r="5.4" class="lodestar-f"/><path d="M3.4 6.2L5.3 8L8.7 4.2" class="lodestar-k"/>',
  deleted: '<path d="M2.6 2.6L9.4 9.4M9.4 2.6L2.6 9.4" class="lodestar-l"/>',
  missing:
    '<path d="M3.9 4.2A2.2 2.2 0 1 1 6.2 6.4V7.6" class="lodestar-l"/><circle cx="6.2" cy="9.8" r=".9" class="lodestar-f"/>',
};

/** Text on its ground has a contrast of 4.5 or more in both (a test computes it). */
export const PALETTES: Readonly<Record<"light" | "dark", Readonly<Record<Look | Ground, string>>>> = {
  light: {
    page: "#ffffff",
    card: "#ffffff",
    tint: "#eef6ff",
    frame: "#c5ccd3",
    text: "#1f2328",
    faint: "#59636e",
    edge: "#818b95",
    settled: "#c5ccd3",
    strong: "#1f2328",
    todo: "#59636e",
    waiting: "#59636e",
    ready: "#0757b3",
    claimed: "#8f4700",
    blocked: "#b81c26",
    done: "#7340c9",
    verified: "#176f30",
    deleted: "#59636e",
    missing: "#b81c26",
  },
  dark: {
    page: "#0d1117",
    card: "#161b22",
    tint: "#13243a",
    frame: "#3d444d",
    text: "#e6edf3",
    faint: "#9aa4af",
    edge: "#7d8590",
    settled: "#3d444d",
    strong: "#e6edf3",
    todo: "#9aa4af",
    waiting: "#9aa4af",
    ready: "#6cb2ff",
    claimed: "#f2a45c",
    blocked: "#ff8a82",
    done: "#c9a4ff",
    verified: "#56d364",
    deleted: "#9aa4af",
    missing: "#ff8a82",
  },
};
type Ground = "page" | "card" | "tint" | "frame" | "text" | "faint" | "edge" | "settled" | "strong";

const CARD = 236;
const PAD = 11;
const LINE = 17;
const MARGIN = 24;
const ID_SIZE = 11;
const TITLE_SIZE = 13;
const MONO = 0.62;
/** The picture is never narrower: the legend must fit. */
const NARROWEST = 640;

/** Text as XML: nothing in it can end the element or the attribute that it stands in. */
const xml = (text: string) =>
  sanitiseLine(text)
    // Not characters of XML at all.
    .replaceAll(/[\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

const round = (n: number) => String(Math.round(n * 10) / 10);

/** A card: what it says, cut to what fits, and how high it is. */
interface Card {
  readonly id: string;
  readonly look: Look;
  readonly shownId: string;
  readonly title: readonly string[];
  readonly holder?: string;
  readonly height: number;
  /** All that it says, for those who point at it or have it read to them. */
  readonly told: string;
}

function cardOf(node: GraphNode, needs: readonly string[]): Card {
  const look = stateOf(node);
  const room = CARD - 2 * PAD;
  const title = linesWithin(sanitiseLine(node.title).trim(), room, TITLE_SIZE, 2);
  const holder =
    look === "claimed"
      ? cutMiddle(sanitiseLine(node.claimed_by ?? ""), Math.floor((room - 17) / (ID_SIZE * MONO)))
      : undefined;
  const rows = 1 + title.length + (holder === undefined ? 0 : 1);
  const waits = needs.length === 0 ? "" : `, waits for ${needs.join(", ")}`;
  return {
    id: node.id,
    look,
    shownId: cutMiddle(sanitiseLine(node.id), idRoom(look)),
    title,
    ...(holder === undefined ? {} : { holder }),
    height: 2 * PAD + rows * LINE - 3,
    told: `${node.id}: ${node.title} (${stateText(node)}, priority ${node.priority}${waits})`,
  };
}

const ghostOf = (id: string): Card => ({
  id,
  look: "missing",
  shownId: cutMiddle(sanitiseLine(id), idRoom("missing")),
  title: [],
  height: 2 * PAD + LINE - 3,
  told: `${id}: there is no such task`,
});

/** How many letters of an id fit beside the state. */
const idRoom = (look: Look) => Math.floor((CARD - 2 * PAD - 30 - widthOf(look, ID_SIZE)) / (ID_SIZE * MONO));

/** The graph as a picture: one file, no script, nothing loaded from elsewhere; light or dark as the reader has it. */
export async function graphSvg(graph: TaskGraph): Promise<string> {
  const parts = partsOf(graph);
  const needs = Map.groupBy([...parts.edges, ...parts.missing], ({ to }) => to);
  const cards = [
    ...parts.nodes.map((node) =>
      cardOf(
        node,
        (needs.get(node.id) ?? []).map(({ from }) => from),
      ),
    ),
    ...parts.ghosts.map(ghostOf),
  ];
  const names = new Map(cards.map(({ id }, i) => [id, `n${i}`]));
  const name = (id: string) => names.get(id) ?? "";
  const missing: DrawnEdge[] = parts.missing.map((edge) => ({
    ...edge,
    critical: false,
    cyclic: false,
    settled: false,
  }));
  const edges = [...parts.edges, ...missing];
  const first = graph.critical_path?.[0];
  const layout = await layOut(
    cards.map(({ id, height }) => ({ id: name(id), width: CARD, height })),
    edges.map(({ from, to }) => ({ from: name(from), to: name(to) })),
    first === undefined ? undefined : name(first),
  );
  const width = Math.max(NARROWEST, Math.ceil(layout.width) + 2 * MARGIN);
  const legend = legendOf(parts, width - 2 * MARGIN);
  const top = MARGIN + legend.height + 20;
  const height = top + Math.ceil(layout.height) + MARGIN;
  const heading = headingOf(graph);
  const ghosts = new Set(parts.ghosts);
  const order = (edge: DrawnEdge) => (edge.settled ? 0 : edge.critical || edge.cyclic ? 2 : 1);
  const drawn = edges
    .map((edge, i) => ({ edge, curve: layout.curves[i] ?? [] }))
    .sort((a, b) => order(a.edge) - order(b.edge));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" class="lodestar" role="graphics-document document" aria-labelledby="lodestar-title lodestar-desc">`,
    `<title id="lodestar-title">${heading}</title>`,
    `<desc id="lodestar-desc">${xml(describe(parts))}</desc>`,
    `<style>${STYLE}</style>`,
    `<defs>${definitions()}</defs>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<g transform="translate(${MARGIN} ${MARGIN})">${legend.svg}</g>`,
    `<g transform="translate(${MARGIN} ${top})">`,
    `<g aria-hidden="true">`,
    ...drawn.map(({ edge, curve }) => edgeSvg(edge, curve, ghosts)),
    "</g>",
    ...cards.map((card) => cardSvg(card, layout.boxes.get(name(card.id)) ?? { x: 0, y: 0 }, parts)),
    "</g>",
    "</svg>",
  ].join("\n");
}

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;

const headingOf = ({ nodes, edges }: TaskGraph) =>
  `Task graph: ${counted(nodes.length, "task", "tasks")}, ${counted(edges.length, "dependency", "dependencies")}`;

function describe({ nodes, critical, cyclic, ghosts }: Parts): string {
  return [
    `${countStates(nodes)
      .map(([state, count]) => `${count} ${state}`)
      .join(", ")}.`,
    ...(critical.size === 0 ? [] : [`Critical path: ${[...critical].join(", ")}.`]),
    ...(cyclic.size === 0 ? [] : [`In a circle: ${[...cyclic].join(", ")}.`]),
    ...(ghosts.length === 0 ? [] : [`Missing: ${ghosts.join(", ")}.`]),
  ].join(" ");
}

function edgeSvg(edge: DrawnEdge, curve: readonly Point[], ghosts: ReadonlySet<string>): string {
  const [start, ...rest] = curve;
  if (start === undefined) return "";
  const kind = ghosts.has(edge.from)
    ? "missing"
    : edge.cyclic
      ? "cyclic"
      : edge.critical
        ? "critical"
        : edge.settled
          ? "settled"
          : "open";
  const at = ({ x, y }: Point) => `${round(x)} ${round(y)}`;
  return `<path class="e ${kind}" d="M${at(start)}C${rest.map(at).join(" ")}" marker-end="url(#lodestar-tip-${kind})"/>`;
}

function cardSvg(card: Card, { x, y }: Point, { critical, cyclic }: Parts): string {
  const { look, height } = card;
  const marks = [look, ...(critical.has(card.id) ? ["critical"] : []), ...(cyclic.has(card.id) ? ["cyclic"] : [])];
  const base = PAD + 10;
  const word = widthOf(look, ID_SIZE);
  return [
    `<g class="n ${marks.join(" ")}" transform="translate(${round(x)} ${round(y)})" role="graphics-symbol img" aria-label="${xml(card.told)}">`,
    `<title>${xml(card.told)}</title>`,
    `<rect class="card" width="${CARD}" height="${height}" rx="7"/>`,
    `<g clip-path="url(#lodestar-clip)">`,
    `<text class="id" x="${PAD}" y="${base}">${xml(card.shownId)}</text>`,
    `<use href="#lodestar-${look}" x="${round(CARD - PAD - word - 17)}" y="${base - 10}" width="12" height="12"/>`,
    `<text class="state" x="${CARD - PAD}" y="${base}">${look}</text>`,
    ...card.title.map(
      (line, i) => `<text class="title" x="${PAD}" y="${base + (i + 1) * LINE + 1}">${xml(line)}</text>`,
    ),
    ...(card.holder === undefined
      ? []
      : [
          `<path class="person" transform="translate(${PAD} ${base + (card.title.length + 1) * LINE - 9})" d="M5.5 5A2.5 2.5 0 1 0 5.5 0A2.5 2.5 0 1 0 5.5 5ZM.5 11A5 4.6 0 0 1 10.5 11Z"/>`,
          `<text class="holder" x="${PAD + 16}" y="${base + (card.title.length + 1) * LINE + 1}">${xml(card.holder)}</text>`,
        ]),
    "</g></g>",
  ].join("");
}

/** An entry of the legend: a picture 26 wide, then words. */
interface Entry {
  readonly picture: string;
  readonly words: string;
}

function legendOf(parts: Parts, room: number): { readonly svg: string; readonly height: number } {
  const sign = (look: Look) =>
    `<g class="${look}"><use href="#lodestar-${look}" x="6" y="-10" width="12" height="12"/></g>`;
  const arrow = (kind: string) => `<path class="e ${kind}" d="M0 -4L24 -4" marker-end="url(#lodestar-tip-${kind})"/>`;
  const has = (kind: "critical" | "cyclic" | "settled") => parts.edges.some((edge) => edge[kind]);
  const entries: Entry[] = [
    ...countStates(parts.nodes).map(([state, count]) => ({ picture: sign(state), words: `${count} ${state}` })),
    ...(parts.ghosts.length === 0 ? [] : [{ picture: sign("missing"), words: `${parts.ghosts.length} missing` }]),
  ];
  const arrows: Entry[] = [
    ...(parts.edges.some(({ settled, critical, cyclic }) => !settled && !critical && !cyclic) ||
    parts.edges.length === 0
      ? [{ picture: arrow("open"), words: "the task at the tip waits for the other" }]
      : []),
    ...(has("settled") ? [{ picture: arrow("settled"), words: "no longer: the other is verified" }] : []),
    ...(has("critical")
      ? [{ picture: arrow("critical"), words: `critical path, ${parts.critical.size} tasks to verify` }]
      : []),
    ...(has("cyclic") ? [{ picture: arrow("cyclic"), words: "in a circle: none can start" }] : []),
    ...(parts.missing.length === 0 ? [] : [{ picture: arrow("missing"), words: "there is no such task" }]),
  ];
  const rows = [entries, ...(parts.edges.length + parts.missing.length === 0 ? [] : [arrows])];
  const svg: string[] = [
    `<text class="heading" x="0" y="14">${xml(`${counted(parts.nodes.length, "task", "tasks")}, ${counted(parts.edges.length, "dependency", "dependencies")}`)}</text>`,
  ];
  let y = 14;
  for (const row of rows) {
    let x = 0;
    y += 24;
    for (const { picture, words } of row) {
      const wide = 32 + widthOf(words, 12) + 22;
      if (x > 0 && x + wide - 22 > room) {
        x = 0;
        y += 20;
      }
      svg.push(
        `<g transform="translate(${round(x)} ${y})">${picture}<text class="legend" x="${row === entries ? 24 : 32}" y="0">${xml(words)}</text></g>`,
      );
      x += wide - (row === entries ? 8 : 0);
    }
  }
  return { svg: svg.join(""), height: y };
}

const EDGES = ["settled", "open", "critical", "cyclic", "missing"] as const;

function definitions(): string {
  const symbols = Object.entries(SIGNS).map(
    ([look, sign]) => `<symbol id="lodestar-${look}" viewBox="0 0 12 12">${sign}</symbol>`,
  );
  // One for each kind: a marker that takes the colour of its line (context-stroke) is not drawn everywhere yet.
  const markers = EDGES.map(
    (kind) =>
      `<marker id="lodestar-tip-${kind}" viewBox="0 0 8 8" refX="7.6" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" orient="auto"><path class="tip ${kind}" d="M0 .6L8 4L0 7.4Z"/></marker>`,
  );
  const clip = `<clipPath id="lodestar-clip"><rect x="4" y="0" width="${CARD - 8}" height="400"/></clipPath>`;
  return [...symbols, ...markers, clip].join("");
}

const variables = (palette: Readonly<Record<string, string>>) =>
  Object.entries(palette)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(";");

const SANS = `-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif`;
const MONOSPACE = `ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace`;
const LOOKS = Object.keys(SIGNS) as Look[];

/** All rules begin with the class of the picture, so that they touch nothing else on a page that it is put into. */
const STYLE = [
  `.lodestar{${variables(PALETTES.light)}}`,
  `@media (prefers-color-scheme:dark){.lodestar{${variables(PALETTES.dark)}}}`,
  `.lodestar text{font-family:${SANS};fill:var(--text)}`,
  `.lodestar .page{fill:var(--page)}`,
  `.lodestar .heading{font-size:15px;font-weight:600}`,
  `.lodestar .legend{font-size:12px}`,
  `.lodestar .card{fill:var(--card);stroke:var(--frame);stroke-width:1}`,
  `.lodestar .id,.lodestar .holder{font-family:${MONOSPACE};font-size:${ID_SIZE}px}`,
  `.lodestar .id{font-weight:600;fill:var(--faint)}`,
  `.lodestar .title{font-size:${TITLE_SIZE}px}`,
  `.lodestar .state{font-size:${ID_SIZE}px;font-weight:600;text-anchor:end;fill:var(--look)}`,
  `.lodestar .holder{fill:var(--look)}`,
  `.lodestar .person{fill:var(--look)}`,
  ...LOOKS.map((look) => `.lodestar .${look}{--look:var(--${look})}`),
  `.lodestar-l,.lodestar-k{fill:none;stroke:var(--look);stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}`,
  `.lodestar-k{stroke:var(--card);stroke-width:1.6}`,
  `.lodestar-f{fill:var(--look)}`,
  `.lodestar-c{fill:var(--card)}`,
  `.lodestar .ready .card{fill:var(--tint);stroke:var(--look)}`,
  `.lodestar .claimed .card,.lodestar .blocked .card{stroke:var(--look)}`,
  `.lodestar .todo .card,.lodestar .deleted .card,.lodestar .missing .card{stroke-dasharray:4 3}`,
  `.lodestar .missing .card{stroke:var(--look)}`,
  `.lodestar .verified .title,.lodestar .deleted .title{fill:var(--faint)}`,
  `.lodestar .deleted .title{text-decoration:line-through}`,
  `.lodestar .n.critical .card{stroke:var(--strong);stroke-width:2.2}`,
  `.lodestar .n.cyclic .card{stroke:var(--blocked);stroke-width:2.2;stroke-dasharray:6 3}`,
  `.lodestar .e{fill:none;stroke:var(--edge);stroke-width:1.3}`,
  `.lodestar .e.settled{stroke:var(--settled)}`,
  `.lodestar .e.critical{stroke:var(--strong);stroke-width:2.4}`,
  `.lodestar .e.cyclic{stroke:var(--blocked);stroke-width:2;stroke-dasharray:6 3}`,
  `.lodestar .e.missing{stroke:var(--blocked);stroke-dasharray:2 3}`,
  `.lodestar .tip{fill:var(--edge)}`,
  `.lodestar .tip.settled{fill:var(--settled)}`,
  `.lodestar .tip.critical{fill:var(--strong)}`,
  `.lodestar .tip.cyclic,.lodestar .tip.missing{fill:var(--blocked)}`,
].join("\n");
