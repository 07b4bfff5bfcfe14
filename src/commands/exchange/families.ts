/** What parents and children mean for the order of work. */
import { LodestarError } from "../../core/errors.ts";
import { nodesOnCycles } from "../../core/graph.ts";

export interface Member {
  readonly source_id: string;
  readonly parent?: string | undefined;
  /** False for what is done or given up: nobody waits for it, and it waits for nobody. */
  readonly open: boolean;
}

/** A family of thousands whose parent waits for thousands would make millions; nobody has meant that. */
const MOST_IMPLIED = 200_000;

/**
 * Adds to `edges` that a parent waits for its open children, and with `inherits` that children wait for what their parents wait for.
 * What would close a circle is left out. O(V + E) over what is added.
 *
 * @returns pairs of a parent and a child that were left out.
 * @throws LodestarError `USAGE` when more would be added than anybody has meant.
 */
export function addFamilies(members: readonly Member[], inherits: boolean, edges: Map<string, Set<string>>): string[] {
  const by_id = new Map(members.map((member) => [member.source_id, member]));
  const isOpen = (id: string): boolean => by_id.get(id)?.open ?? true;
  const forest = new Forest(members, by_id);
  if (inherits) {
    const implied: (readonly [from: string, to: string])[] = [];
    const handed = new Map<string, readonly string[]>();
    for (const id of forest.order) {
      const parent = by_id.get(id)?.parent;
      const above = parent === undefined ? [] : (handed.get(parent) ?? []);
      const own = [...(edges.get(id) ?? [])].filter((need) => isOpen(need) && !forest.isWithin(need, id));
      handed.set(id, own.length === 0 ? above : [...new Set([...above, ...own])]);
      if (!isOpen(id)) continue;
      for (const need of above) if (!forest.isWithin(need, id)) implied.push([id, need]);
      if (implied.length > MOST_IMPLIED) throw tooMany();
    }
    addAcyclic(edges, implied);
  }
  const waits = members.flatMap(({ source_id, parent, open }) =>
    open && parent !== undefined && by_id.get(parent)?.open === true ? [[parent, source_id] as const] : [],
  );
  return addAcyclic(edges, waits).map(([parent, child]) => `${parent} and ${child}`);
}

const tooMany = (): LodestarError =>
  new LodestarError(
    "USAGE",
    `Parents and children would make more than ${MOST_IMPLIED} dependencies; nothing was imported.`,
  );

/** Adds those that lie on no circle; answers the others. */
function addAcyclic<E extends readonly [from: string, to: string]>(
  edges: Map<string, Set<string>>,
  implied: readonly E[],
): E[] {
  const all = new Map([...edges].map(([id, needs]) => [id, [...needs]]));
  for (const [from, to] of implied) all.get(from)?.push(to);
  const circular = nodesOnCycles(all);
  return implied.filter(([from, to]) => {
    if (edges.get(from)?.has(to) === true) return false;
    if (circular.has(from) && circular.has(to)) return true;
    edges.get(from)?.add(to);
    return false;
  });
}

/** The families, numbered so that descent is a comparison. Whoever is its own ancestor is in none. */
class Forest {
  /** Parents before their children. */
  readonly order: string[] = [];
  readonly #spans = new Map<string, { readonly start: number; end: number }>();

  constructor(members: readonly Member[], by_id: ReadonlyMap<string, Member>) {
    const children = Map.groupBy(members, ({ parent }) => parent);
    for (const { source_id, parent } of members) {
      if (parent !== undefined && by_id.has(parent)) continue;
      const stack = [{ id: source_id, at: 0 }];
      for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
        if (top.at === 0) {
          this.#spans.set(top.id, { start: this.order.length, end: 0 });
          this.order.push(top.id);
        }
        const child = children.get(top.id)?.[top.at];
        top.at += 1;
        if (child !== undefined) stack.push({ id: child.source_id, at: 0 });
        else {
          const span = this.#spans.get(top.id);
          if (span !== undefined) span.end = this.order.length;
          stack.pop();
        }
      }
    }
  }

  /** True when it is this one or descends from it. */
  isWithin(id: string, ancestor: string): boolean {
    const span = this.#spans.get(ancestor);
    const at = this.#spans.get(id)?.start;
    return span !== undefined && at !== undefined && span.start <= at && at < span.end;
  }
}
