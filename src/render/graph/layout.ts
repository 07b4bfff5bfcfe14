/** A box to be placed, in pixels. */
export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
}

export interface Link {
  readonly from: string;
  readonly to: string;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where everything goes: boxes by their upper left corners, links as chains of cubic curves (a start and three points for each). */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly boxes: ReadonlyMap<string, Point>;
  /** In the order of the links given; the last point is the tip of the arrow. */
  readonly curves: readonly (readonly Point[])[];
}

/** Graphviz measures in points of a 72nd of an inch; a pixel is one point here. */
const INCH = 72;
/** Between parts of the graph that are not connected. */
const APART = 28;
/** Width to height of the whole, where the parts leave a choice: that of a screen. */
const ASPECT = 1.7;

/**
 * Lays out boxes and links in layers: each connected part by Graphviz (`dot`, compiled to WebAssembly), the parts beside and below
 * each other. The direction in which work flows is chosen so that the picture comes nearer to the shape of a screen: a long chain
 * runs down, anything broader runs to the right.
 *
 * @param first the box whose part comes first.
 */
export async function layOut(
  boxes: readonly Box[],
  links: readonly Link[],
  first: string | undefined,
): Promise<Layout> {
  const parts = partsOf(boxes, links);
  const alone = parts.filter(({ boxes }) => boxes.length === 1);
  const connected = parts.filter(({ boxes }) => boxes.length > 1);
  const placed: Placed[] = [];
  if (connected.length > 0) {
    const { instance } = await import("@viz-js/viz");
    const viz = await instance();
    const direction = directionOf(connected);
    for (const part of connected) {
      const result = viz.render(
        {
          directed: true,
          graphAttributes: {
            rankdir: direction,
            nodesep: (direction === "LR" ? 16 : 24) / INCH,
            ranksep: (direction === "LR" ? 56 : 44) / INCH,
            // Without a limit a dense graph of some hundred tasks can keep the simplex busy for minutes.
            nslimit: 8,
            nslimit1: 8,
          },
          nodeAttributes: { shape: "box", fixedsize: true, label: "" },
          nodes: part.boxes.map(({ id, width, height }) => ({
            name: id,
            attributes: { width: width / INCH, height: height / INCH },
          })),
          edges: part.links.map(({ link }, i) => ({ tail: link.from, head: link.to, attributes: { id: String(i) } })),
        },
        { engine: "dot", format: "json0" },
      );
      if (result.status !== "success") throw new Error(result.errors.map(({ message }) => message).join("; "));
      placed.push(readPart(part, JSON.parse(result.output) as Answer));
    }
  }
  for (const part of alone) {
    const box = part.boxes[0] as Box;
    // A task that waits for itself has a link and no layout of its own: the loop is drawn beside its box.
    const curves = part.links.map(({ at }) => [at, loop(box)] as const);
    const room = curves.length > 0 ? LOOP : 0;
    placed.push({ width: box.width + room, height: box.height, boxes: new Map([[box.id, { x: 0, y: 0 }]]), curves });
  }
  return pack(placed, links.length, first);
}

const LOOP = 26;
const loop = ({ width, height }: Box): Point[] => [
  { x: width, y: height * 0.3 },
  { x: width + LOOP, y: height * 0.3 },
  { x: width + LOOP, y: height * 0.7 },
  { x: width, y: height * 0.7 },
];

interface Part {
  readonly boxes: readonly Box[];
  /** With its place in the list that was given. */
  readonly links: readonly { readonly link: Link; readonly at: number }[];
}

interface Placed {
  readonly width: number;
  readonly height: number;
  readonly boxes: ReadonlyMap<string, Point>;
  readonly curves: readonly (readonly [at: number, curve: readonly Point[]])[];
}

/** Connected parts, in the order of their first boxes. */
function partsOf(boxes: readonly Box[], links: readonly Link[]): Part[] {
  const near = new Map<string, string[]>(boxes.map(({ id }) => [id, []]));
  for (const { from, to } of links) {
    near.get(from)?.push(to);
    near.get(to)?.push(from);
  }
  const partOf = new Map<string, number>();
  let count = 0;
  for (const { id: start } of boxes) {
    if (partOf.has(start)) continue;
    const found = [start];
    partOf.set(start, count);
    for (let id = found.pop(); id !== undefined; id = found.pop()) {
      for (const other of near.get(id) ?? []) {
        if (partOf.has(other)) continue;
        partOf.set(other, count);
        found.push(other);
      }
    }
    count += 1;
  }
  const parts = Array.from({ length: count }, () => ({ boxes: [] as Box[], links: [] as Part["links"][number][] }));
  for (const box of boxes) parts[partOf.get(box.id) as number]?.boxes.push(box);
  for (const [at, link] of links.entries()) parts[partOf.get(link.from) as number]?.links.push({ link, at });
  return parts;
}

/** `LR` or `TB`, whichever makes the largest part look more like a screen; guessed from its number of layers. */
function directionOf(parts: readonly Part[]): "LR" | "TB" {
  const largest = parts.reduce((a, b) => (b.boxes.length > a.boxes.length ? b : a));
  const layers = layersOf(largest);
  const across = largest.boxes.length / layers;
  const { width = 1, height = 1 } = largest.boxes[0] ?? {};
  const shape = (x: number, y: number) => Math.abs(Math.log(x / y / ASPECT));
  const toRight = shape(layers * (width + 56), across * (height + 16));
  const down = shape(across * (width + 24), layers * (height + 44));
  return down < toRight ? "TB" : "LR";
}

/** Length of the longest chain; circles are cut where the walk meets them. */
function layersOf({ boxes, links }: Part): number {
  const waits = new Map(boxes.map(({ id }) => [id, 0]));
  const next = new Map<string, string[]>();
  for (const { link } of links) {
    waits.set(link.to, (waits.get(link.to) ?? 0) + 1);
    next.set(link.from, [...(next.get(link.from) ?? []), link.to]);
  }
  const layer = new Map<string, number>();
  const queue = boxes.filter(({ id }) => waits.get(id) === 0).map(({ id }) => id);
  for (const id of queue) {
    for (const to of next.get(id) ?? []) {
      layer.set(to, Math.max(layer.get(to) ?? 0, (layer.get(id) ?? 0) + 1));
      const left = (waits.get(to) ?? 0) - 1;
      waits.set(to, left);
      if (left === 0) queue.push(to);
    }
  }
  return Math.max(0, ...layer.values()) + 1;
}

/** What Graphviz answers, as far as it is read here. */
interface Answer {
  readonly bb: string;
  readonly objects: readonly { readonly name: string; readonly pos: string }[];
  readonly edges?: readonly { readonly id: string; readonly pos: string }[];
}

const numbers = (text: string) => text.split(",").map(Number);

function readPart(part: Part, { bb, objects, edges = [] }: Answer): Placed {
  const [left = 0, bottom = 0, right = 0, top = 0] = numbers(bb);
  const point = (text: string): Point => {
    const [x = 0, y = 0] = numbers(text);
    // Graphviz counts upwards.
    return { x: x - left, y: top - y };
  };
  const sizes = new Map(part.boxes.map((box) => [box.id, box]));
  const boxes = new Map(
    objects.map(({ name, pos }) => {
      const { width = 0, height = 0 } = sizes.get(name) ?? {};
      const { x, y } = point(pos);
      return [name, { x: x - width / 2, y: y - height / 2 }];
    }),
  );
  const curves = edges.flatMap(({ id, pos }) => {
    const at = part.links[Number(id)]?.at;
    return at === undefined ? [] : [[at, readCurve(pos, point)] as const];
  });
  return { width: right - left, height: top - bottom, boxes, curves };
}

/** `e,x,y x,y x,y …`: the tip of the arrow, then the curve up to where the arrow begins. */
function readCurve(pos: string, point: (text: string) => Point): Point[] {
  const words = pos.split(" ");
  const tip = words.find((word) => word.startsWith("e,"))?.slice(2);
  const curve = words.filter((word) => /^[-\d]/.test(word)).map(point);
  const last = curve.at(-1);
  if (tip !== undefined && last !== undefined) curve[curve.length - 1] = point(tip);
  return curve;
}

/**
 * Puts the parts beside and below each other: the one with `first` at the top, then the largest, single boxes last; each as high up,
 * then as far left as it fits. Of several widths the one whose picture is nearest to a screen's shape.
 *
 * @see Burke, Kendall and Whitwell, "A new placement heuristic for the orthogonal stock-cutting problem", 2004, for the skyline.
 */
function pack(parts: readonly Placed[], links: number, first: string | undefined): Layout {
  const isFirst = (part: Placed) => first !== undefined && part.boxes.has(first);
  const isSingle = (part: Placed) => part.boxes.size === 1;
  const size = (part: Placed) => (isSingle(part) ? 0 : part.width * part.height);
  const sorted = [...parts].sort(
    (a, b) => Number(isFirst(b)) - Number(isFirst(a)) || Number(isSingle(a)) - Number(isSingle(b)) || size(b) - size(a),
  );
  const area = parts.reduce((sum, { width, height }) => sum + (width + APART) * (height + APART), 0);
  const widest = Math.max(0, ...parts.map(({ width }) => width + APART));
  const best = [0.9, 1, 1.1, 1.25, 1.5, 2]
    .map((factor) => place(sorted, Math.max(widest, Math.sqrt(area * ASPECT) * factor)))
    .reduce((a, b) => (misshapen(b) < misshapen(a) ? b : a));
  const boxes = new Map<string, Point>();
  const curves: (readonly Point[])[] = Array.from({ length: links }, () => []);
  for (const [i, part] of sorted.entries()) {
    const { x, y } = best.corners[i] ?? { x: 0, y: 0 };
    for (const [id, at] of part.boxes) boxes.set(id, { x: x + at.x, y: y + at.y });
    for (const [at, curve] of part.curves) curves[at] = curve.map((point) => ({ x: x + point.x, y: y + point.y }));
  }
  return { width: best.width - APART, height: best.height - APART, boxes, curves };
}

interface Sheet {
  readonly width: number;
  readonly height: number;
  readonly corners: readonly Point[];
}

/** How much larger than needed a sheet is, and how far from the shape of a screen. */
const misshapen = ({ width, height }: Sheet) => Math.log(width * height) + Math.abs(Math.log(width / height / ASPECT));

/** Places parts in their order on a sheet of a given width; `skyline` is how far down each stretch of it is taken. */
function place(parts: readonly Placed[], room: number): Sheet {
  let skyline: { readonly from: number; readonly to: number; readonly y: number }[] = [{ from: 0, to: room, y: 0 }];
  const corners: Point[] = [];
  let width = 0;
  let height = 0;
  for (const part of parts) {
    const wide = part.width + APART;
    let best: Point | undefined;
    for (const { from } of skyline) {
      if (from + wide > room + 0.5) break;
      const y = Math.max(...skyline.filter((one) => one.to > from && one.from < from + wide).map((one) => one.y));
      if (best === undefined || y < best.y) best = { x: from, y };
    }
    const { x, y } = best ?? { x: 0, y: height };
    corners.push({ x, y });
    const bottom = y + part.height + APART;
    skyline = [
      ...skyline.filter((one) => one.from < x).map((one) => ({ ...one, to: Math.min(one.to, x) })),
      { from: x, to: x + wide, y: bottom },
      ...skyline.filter((one) => one.to > x + wide).map((one) => ({ ...one, from: Math.max(one.from, x + wide) })),
    ];
    width = Math.max(width, x + wide);
    height = Math.max(height, bottom);
  }
  return { width, height, corners };
}
