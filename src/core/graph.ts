import { LodestarError } from "./errors.ts";

/** node → the nodes it depends on. A dependency that is no key of the map is passed over. */
export type Edges = ReadonlyMap<string, readonly string[]>;

/**
 * Orders nodes so that every node follows all of its dependencies.
 *
 * @returns all keys of `edges`; ties are broken by id, so the order is stable.
 * @throws LodestarError `DEPENDENCY_CYCLE` with `details.cycle`, the ids along one cycle.
 * @see Kahn, "Topological sorting of large networks", CACM 5(11), 1962. O(V + E) plus the sort.
 */
export function topologicalOrder(edges: Edges): string[] {
  const waits = new Map<string, number>();
  const dependents = dependentsOf(edges);
  for (const [node, needs] of edges) waits.set(node, new Set(needs.filter((need) => edges.has(need))).size);
  const order = [...waits]
    .filter(([, count]) => count === 0)
    .map(([node]) => node)
    .sort();
  for (let i = 0; i < order.length; i += 1) {
    const freed: string[] = [];
    for (const dependent of dependents.get(order[i] as string) ?? []) {
      const left = (waits.get(dependent) ?? 0) - 1;
      waits.set(dependent, left);
      if (left === 0) freed.push(dependent);
    }
    order.push(...freed.sort());
  }
  if (order.length < edges.size) {
    const cycle = findCycle(edges) ?? [];
    throw new LodestarError("DEPENDENCY_CYCLE", `Tasks depend on each other in a circle: ${cycle.join(" → ")}`, {
      details: { cycle },
    });
  }
  return order;
}

/** node → the nodes that depend on it directly, each once. */
export function dependentsOf(edges: Edges): Map<string, string[]> {
  const dependents = new Map<string, string[]>();
  for (const [node, needs] of edges) {
    for (const need of new Set(needs)) {
      if (!edges.has(need)) continue;
      const known = dependents.get(need);
      if (known === undefined) dependents.set(need, [node]);
      else known.push(node);
    }
  }
  return dependents;
}

/**
 * One cycle as the ids along it, the first repeated at the end, or `undefined`. A node that depends on itself is a cycle.
 * Iterative: a chain of 100 000 nodes is fine.
 */
export function findCycle(edges: Edges, from: Iterable<string> = edges.keys()): string[] | undefined {
  const done = new Set<string>();
  for (const start of from) {
    const path: string[] = [start];
    const onPath = new Set([start]);
    const cursor = [0];
    while (path.length > 0) {
      const node = path[path.length - 1] as string;
      const at = cursor[cursor.length - 1] as number;
      const need = done.has(node) ? undefined : edges.get(node)?.[at];
      if (need === undefined) {
        done.add(node);
        onPath.delete(node);
        path.pop();
        cursor.pop();
        continue;
      }
      cursor[cursor.length - 1] = at + 1;
      if (onPath.has(need)) return [...path.slice(path.indexOf(need)), need];
      if (edges.has(need) && !done.has(need)) {
        path.push(need);
        onPath.add(need);
        cursor.push(0);
      }
    }
  }
  return undefined;
}

/**
 * All nodes that lie on some cycle: the strongly connected components of more than one node, and self-loops.
 * @see Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1(2), 1972; iterative. O(V + E).
 */
export function nodesOnCycles(edges: Edges): Set<string> {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const found = new Set<string>();
  for (const start of edges.keys()) {
    if (index.has(start)) continue;
    const frames: { node: string; at: number }[] = [{ node: start, at: 0 }];
    while (frames.length > 0) {
      const frame = frames[frames.length - 1] as { node: string; at: number };
      const { node } = frame;
      if (frame.at === 0 && !index.has(node)) {
        index.set(node, index.size);
        low.set(node, index.get(node) as number);
        stack.push(node);
        onStack.add(node);
      }
      const needs = edges.get(node) ?? [];
      const need = needs[frame.at];
      frame.at += 1;
      if (need !== undefined) {
        if (need === node) found.add(node);
        if (!edges.has(need)) continue;
        if (!index.has(need)) frames.push({ node: need, at: 0 });
        else if (onStack.has(need)) low.set(node, Math.min(low.get(node) as number, index.get(need) as number));
        continue;
      }
      frames.pop();
      const parent = frames[frames.length - 1]?.node;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) as number, low.get(node) as number));
      if (low.get(node) !== index.get(node)) continue;
      const component: string[] = [];
      let member: string;
      do {
        member = stack.pop() as string;
        onStack.delete(member);
        component.push(member);
      } while (member !== node);
      if (component.length > 1) for (const each of component) found.add(each);
    }
  }
  return found;
}

/**
 * How many nodes depend on each node, directly or through others; `counted` says which nodes count. Nodes on a cycle reach
 * each other. Exact, by bit sets of 32 nodes at a time, one connected component after the other, so that the cost is
 * O(C/32 · (C + E)) for a component of C nodes, and many small components cost next to nothing.
 */
export function descendantCounts(edges: Edges, counted: (node: string) => boolean = () => true): Map<string, number> {
  const counts = new Map<string, number>();
  const dependents = dependentsOf(edges);
  for (const component of components(edges, dependents)) {
    if (component.length === 1) {
      counts.set(component[0] as string, 0);
      continue;
    }
    countComponent(component, edges, dependents, counted, counts);
  }
  return counts;
}

/** Weakly connected components. */
function components(edges: Edges, dependents: ReadonlyMap<string, readonly string[]>): string[][] {
  const seen = new Set<string>();
  const found: string[][] = [];
  for (const start of edges.keys()) {
    if (seen.has(start)) continue;
    const component = [start];
    seen.add(start);
    for (let i = 0; i < component.length; i += 1) {
      const node = component[i] as string;
      for (const near of [...(edges.get(node) ?? []), ...(dependents.get(node) ?? [])]) {
        if (seen.has(near) || !edges.has(near)) continue;
        seen.add(near);
        component.push(near);
      }
    }
    found.push(component);
  }
  return found;
}

function countComponent(
  component: readonly string[],
  edges: Edges,
  dependents: ReadonlyMap<string, readonly string[]>,
  counted: (node: string) => boolean,
  counts: Map<string, number>,
): void {
  const position = new Map(component.map((node, i) => [node, i]));
  const order = dependentsFirst(component, dependents, position);
  const heads = new Int32Array(component.length + 1);
  const targets: number[] = [];
  component.forEach((node, i) => {
    for (const dependent of dependents.get(node) ?? []) targets.push(position.get(dependent) as number);
    heads[i + 1] = targets.length;
  });
  const flat = Int32Array.from(targets);
  const total = new Int32Array(component.length);
  const reach = new Int32Array(component.length);
  const cyclic = nodesOnCycles(new Map(component.map((node) => [node, edges.get(node) ?? []]))).size > 0;
  for (let base = 0; base < component.length; base += 32) {
    reach.fill(0);
    let settled = false;
    while (!settled) {
      settled = true;
      for (const node of order) {
        let bits = reach[node] as number;
        for (let at = heads[node] as number; at < (heads[node + 1] as number); at += 1) {
          const target = flat[at] as number;
          bits |= reach[target] as number;
          const slot = target - base;
          if (slot >= 0 && slot < 32 && counted(component[target] as string)) bits |= 1 << slot;
        }
        if (bits !== reach[node]) {
          reach[node] = bits;
          // Without cycles one pass in order is enough; with them, until nothing changes.
          if (cyclic) settled = false;
        }
      }
    }
    for (let node = 0; node < component.length; node += 1)
      total[node] = (total[node] as number) + popCount(reach[node] as number);
  }
  component.forEach((node, i) => {
    const self = cyclic && counted(node) && reachesItself(node, dependents) ? 1 : 0;
    counts.set(node, (total[i] as number) - self);
  });
}

function reachesItself(node: string, dependents: ReadonlyMap<string, readonly string[]>): boolean {
  const seen = new Set<string>();
  const queue = [...(dependents.get(node) ?? [])];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next === node) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    queue.push(...(dependents.get(next) ?? []));
  }
  return false;
}

/** Positions ordered so that dependents come first (depth-first post-order); on cycles any order. */
function dependentsFirst(
  component: readonly string[],
  dependents: ReadonlyMap<string, readonly string[]>,
  position: ReadonlyMap<string, number>,
): Int32Array {
  const order: number[] = [];
  const seen = new Uint8Array(component.length);
  for (let start = 0; start < component.length; start += 1) {
    if (seen[start] === 1) continue;
    const frames: { node: number; at: number }[] = [{ node: start, at: 0 }];
    seen[start] = 1;
    while (frames.length > 0) {
      const frame = frames[frames.length - 1] as { node: number; at: number };
      const next = dependents.get(component[frame.node] as string)?.[frame.at];
      frame.at += 1;
      if (next === undefined) {
        order.push(frame.node);
        frames.pop();
        continue;
      }
      const at = position.get(next) as number;
      if (seen[at] === 1) continue;
      seen[at] = 1;
      frames.push({ node: at, at: 0 });
    }
  }
  return Int32Array.from(order);
}

function popCount(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return (((n + (n >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/**
 * The longest chain of nodes that follow each other, first to last; of several that are equally long the one that `order` puts
 * first, node by node from the beginning. Nodes on a cycle belong to no chain.
 *
 * @param counted which nodes a chain may run through.
 */
export function longestChain(
  edges: Edges,
  counted: (node: string) => boolean,
  order: (a: string, b: string) => number,
): string[] {
  const cyclic = nodesOnCycles(edges);
  const chained = new Map(
    [...edges]
      .filter(([node]) => counted(node) && !cyclic.has(node))
      .map(([node, needs]) => [node, needs.filter((need) => counted(need) && !cyclic.has(need))]),
  );
  const dependents = dependentsOf(chained);
  const longest = new Map<string, { readonly length: number; readonly next?: string }>();
  const better = (a: string | undefined, b: string): boolean => {
    if (a === undefined) return true;
    const difference = (longest.get(b)?.length ?? 0) - (longest.get(a)?.length ?? 0);
    return difference > 0 || (difference === 0 && order(b, a) < 0);
  };
  for (const node of topologicalOrder(chained).reverse()) {
    let next: string | undefined;
    for (const dependent of dependents.get(node) ?? []) if (better(next, dependent)) next = dependent;
    longest.set(node, {
      length: 1 + (next === undefined ? 0 : (longest.get(next)?.length ?? 0)),
      ...(next === undefined ? {} : { next }),
    });
  }
  let at: string | undefined;
  for (const node of chained.keys()) if (better(at, node)) at = node;
  const chain: string[] = [];
  for (; at !== undefined; at = longest.get(at)?.next) chain.push(at);
  return chain;
}
