/** The cost of calls against the number of tasks, as a picture: both scales logarithmic, light and dark. */
import { type Results, spaced } from "./results.ts";

const WIDTH = 860;
const HEIGHT = 470;
const LEFT = 70;
const RIGHT = 250;
const TOP = 56;
const BOTTOM = 58;
/** Between two names at the right, at least. */
const LINE_HEIGHT = 16;

interface Line {
  readonly name: string;
  /** A class of the style sheet: its colour, and how it is drawn. */
  readonly style: string;
  readonly points: readonly (readonly [tasks: number, ms: number])[];
}

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #ddd; stroke-width: 1 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .floor { stroke-dasharray: 5 4; stroke-width: 1.5 }
  .a { stroke: #0060c0; fill: #0060c0 } .b { stroke: #008050; fill: #008050 } .c { stroke: #a04000; fill: #a04000 }
  .p { stroke: #a0207a; fill: #a0207a } .q { stroke: #7050c0; fill: #7050c0 } .f { stroke: #777; fill: #777 }
  path.line { fill: none } text.name { stroke: none } .ground { fill: #fff }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .grid { stroke: #383c42 } .ground { fill: #0d1117 }
    .a { stroke: #58a6ff; fill: #58a6ff } .b { stroke: #4ac280; fill: #4ac280 } .c { stroke: #f0883e; fill: #f0883e }
    .p { stroke: #f07ac8; fill: #f07ac8 } .q { stroke: #b39dff; fill: #b39dff } .f { stroke: #999; fill: #999 }
  }`;

function linesOf({ calls, peers }: Results): Line[] {
  const call = (command: string, name: string, style: string): Line => ({
    ...{ name, style },
    points: calls.filter((row) => row.command === command).map((row) => [row.tasks, row.median_ms]),
  });
  const floor = (of: string, name: string): Line => {
    const rows = calls.filter((row) => row.floor === of);
    const sizes = [...new Set(rows.map(({ tasks }) => tasks))];
    // A floor is measured anew beside each call: the middle one of a size.
    const middle = (tasks: number) => {
      const times = rows
        .filter((row) => row.tasks === tasks)
        .map(({ floor_ms }) => floor_ms)
        .sort((a, b) => a - b);
      return times[times.length >> 1] ?? Number.NaN;
    };
    return { name, style: "f floor", points: sizes.map((tasks) => [tasks, middle(tasks)]) };
  };
  const peer = (command: string, name: (tool: string) => string, style: string): Line[] =>
    [...new Set(peers.map(({ tool }) => tool))].map((tool) => ({
      ...{ name: name(tool), style },
      points: peers.flatMap((row) =>
        row.tool === tool && row.command === command && row.median_ms !== undefined
          ? [[row.tasks, row.median_ms] as const]
          : [],
      ),
    }));
  return [
    ...peer("asking what is next", (tool) => `${tool}: list`, "p"),
    ...peer("taking a task", (tool) => `${tool}: edit`, "q"),
    call("task done", "task done", "c"),
    call("task claim", "task claim", "b"),
    call("task next --json", "task next", "a"),
    floor("W", "W: commit, file written"),
    floor("C", "C: open, commit"),
    floor("Q", "Q: open, query"),
    floor("E", "E: empty program"),
  ].filter(({ points }) => points.length > 0);
}

const decades = (low: number, high: number): number[] => {
  const from = Math.floor(Math.log10(low));
  return Array.from({ length: Math.max(2, Math.ceil(Math.log10(high)) - from + 1) }, (_, i) => 10 ** (from + i));
};
const round = (value: number): number => Math.round(value * 10) / 10;
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Names in the order of their lines, moved apart where lines end close together. */
function apart(heights: readonly number[]): number[] {
  const order = [...heights.keys()].sort((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0));
  const placed = [...heights];
  let last = Number.NEGATIVE_INFINITY;
  for (const i of order) {
    placed[i] = Math.max(heights[i] ?? 0, last + LINE_HEIGHT);
    last = placed[i] ?? 0;
  }
  const over = last - (HEIGHT - BOTTOM);
  if (over <= 0) return placed;
  let below = Number.POSITIVE_INFINITY;
  for (const i of order.toReversed()) {
    placed[i] = Math.min(placed[i] ?? 0, HEIGHT - BOTTOM, below - LINE_HEIGHT);
    below = placed[i] ?? 0;
  }
  return placed;
}

/** The picture as SVG; one of no lines when nothing was measured. */
export function plot(found: Results): string {
  const lines = linesOf(found);
  const all = lines.flatMap(({ points }) => points);
  const xs = decades(Math.min(...all.map(([x]) => x), 10), Math.max(...all.map(([x]) => x), 100));
  const ys = decades(Math.min(...all.map(([, y]) => y), 10), Math.max(...all.map(([, y]) => y), 100));
  const scale = (ticks: readonly number[], from: number, to: number) => {
    const [low, high] = [Math.log10(ticks[0] ?? 1), Math.log10(ticks.at(-1) ?? 10)];
    return (value: number) => round(from + ((Math.log10(value) - low) / (high - low)) * (to - from));
  };
  const x = scale(xs, LEFT, WIDTH - RIGHT);
  const y = scale(ys, HEIGHT - BOTTOM, TOP);
  const path = (points: Line["points"]) => points.map(([a, b], i) => `${i === 0 ? "M" : "L"}${x(a)} ${y(b)}`).join("");
  const ends = apart(lines.map(({ points }) => y(points.at(-1)?.[1] ?? 1)));
  const time = (value: number) => (value < 1000 ? `${value} ms` : `${value / 1000} s`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Cost of a call against the number of tasks">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${HEIGHT}"/>`,
    `<text class="title" x="${LEFT}" y="28">Time of a whole call, by the number of tasks (both scales logarithmic)</text>`,
    ...xs.map((tick) => `<path class="grid" d="M${x(tick)} ${TOP}V${HEIGHT - BOTTOM}"/>`),
    ...ys.map((tick) => `<path class="grid" d="M${LEFT} ${y(tick)}H${WIDTH - RIGHT}"/>`),
    ...xs.map((tick) => `<text x="${x(tick)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${spaced(tick)}</text>`),
    ...ys.map((tick) => `<text x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end">${time(tick)}</text>`),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 42}" text-anchor="middle">tasks</text>`,
    ...lines.flatMap(({ name, style, points }, i) => {
      const [tasks, last] = points.at(-1) ?? [1, 1];
      const [fromX, toX] = [x(tasks), WIDTH - RIGHT + 14];
      return [
        `<path class="line ${style}" d="${path(points)}"/>`,
        ...(style.includes("floor")
          ? []
          : points.map(([a, b]) => `<circle class="${style}" cx="${x(a)}" cy="${y(b)}" r="3"/>`)),
        `<path class="line ${style}" stroke-opacity="0.4" style="stroke-width:1;stroke-dasharray:1 4" d="M${fromX} ${y(last)}L${toX} ${ends[i]}"/>`,
        `<text class="name ${style.replace(" floor", "")}" x="${toX + 4}" y="${(ends[i] ?? 0) + 4}">${escaped(name)} · ${last < 10 ? last.toFixed(1) : Math.round(last)} ms</text>`,
      ];
    }),
    "</svg>\n",
  ].join("\n");
}
