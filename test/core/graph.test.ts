/** The longest chain, held against trying every one. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { longestChain } from "../../src/core/graph.ts";

const byId = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Every chain that begins at a node, found by walking all of them. */
function chainsFrom(node: string, dependents: ReadonlyMap<string, readonly string[]>): string[][] {
  const next = dependents.get(node) ?? [];
  return [[node], ...next.flatMap((one) => chainsFrom(one, dependents).map((chain) => [node, ...chain]))];
}

test("is the longest of all chains, and of equals the first in order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 14 }),
      fc.uniqueArray(fc.nat(7), { maxLength: 3 }),
      (pairs, left) => {
        const ids = Array.from({ length: 8 }, (_, i) => `T${i}`);
        const counted = (id: string) => !left.includes(Number(id.slice(1)));
        const edges = new Map(ids.map((id) => [id, [] as string[]]));
        for (const [a, b] of pairs) if (a < b) edges.get(`T${b}`)?.push(`T${a}`);
        const dependents = new Map(
          ids.map((id) => [id, ids.filter((one) => counted(one) && edges.get(one)?.includes(id) === true)]),
        );
        const all = ids.filter(counted).flatMap((id) => chainsFrom(id, dependents));
        const best = all.sort((a, b) => b.length - a.length || byId(a.join(), b.join()))[0];
        expect(longestChain(edges, counted, byId)).toEqual(best ?? []);
      },
    ),
  );
});

test("does not run through a circle, and a chain of 100 000 is fine", () => {
  const circle = new Map([
    ["A", ["C"]],
    ["B", ["A"]],
    ["C", ["B"]],
    ["D", ["C"]],
    ["E", ["D"]],
  ]);
  expect(longestChain(circle, () => true, byId)).toEqual(["D", "E"]);
  const chain = new Map(Array.from({ length: 100_000 }, (_, i) => [`${i}`, i === 0 ? [] : [`${i - 1}`]] as const));
  expect(longestChain(chain, () => true, byId)).toHaveLength(100_000);
});
