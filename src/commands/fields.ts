import type { LodestarError } from "../core/errors.ts";
import { didYouMean, nearest } from "../core/nearest.ts";
import type { AnyCommand } from "./command.ts";

/** These stay beside the chosen fields: without them a page of results cannot be understood. */
const STAY = ["count", "cursor", "total_claimable"];

interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly allOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
}

/** The properties that a schema names, through lists and alternatives; `undefined` when it leaves them open. */
function propertiesOf(node: Node): Map<string, Node[]> | undefined {
  const parts =
    node.anyOf ?? node.allOf ?? (node.type === "array" && node.items !== undefined ? [node.items] : undefined);
  const found = new Map<string, Node[]>();
  if (parts !== undefined) {
    for (const part of parts) {
      const inner = propertiesOf(part);
      if (inner === undefined) return undefined;
      for (const [name, nodes] of inner) found.set(name, [...(found.get(name) ?? []), ...nodes]);
    }
    return found;
  }
  if (node.type === "object" && node.properties === undefined) return undefined;
  if (node.type === undefined) return undefined;
  for (const [name, inner] of Object.entries(node.properties ?? {})) found.set(name, [inner]);
  return found;
}

/** What to say of a name that the answer cannot have, in the words of whoever asked. */
export type Refuse = (message: string, details: { readonly fields: readonly string[] }) => LodestarError;

/**
 * Reads `id,claimed_by.agent_id` as paths, and refuses a name that the command's answer cannot have: before it runs, so that a
 * slip never costs a write.
 */
export function readFields(command: AnyCommand, text: string, refuse: Refuse): string[][] {
  const paths = text.split(",").map((path) => path.trim().split("."));
  const output: Node = command.output;
  const items = command.items === undefined ? undefined : propertiesOf(output)?.get(command.items);
  // Of an answer that is either a list or something else (`task next --claim`), the fields of both can be named.
  const others = (output.anyOf ?? []).filter((part) => !propertiesOf(part)?.has(command.items ?? ""));
  const root: readonly Node[] = items === undefined ? [output] : [...items, ...others];
  for (const path of paths) {
    let nodes = root;
    for (const [depth, name] of path.entries()) {
      const known = nodes.map(propertiesOf);
      if (known.some((properties) => properties === undefined)) break;
      const next = known.flatMap((properties) => properties?.get(name) ?? []);
      const stays = depth === 0 && STAY.includes(name);
      if (next.length === 0 && !stays) {
        const names = known.flatMap((properties) => [...(properties?.keys() ?? [])]);
        const suggestions = nearest(name, names);
        const message = `there is no field "${path.join(".")}".${didYouMean(suggestions)}`;
        throw refuse(message, { fields: [...new Set(names)] });
      }
      nodes = next;
    }
  }
  return paths;
}

/** Leaves only these fields of a value, or of each item of a list. */
export function pick(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (Array.isArray(value)) return value.map((item) => pick(item, paths));
  if (typeof value !== "object" || value === null) return value;
  const chosen: Record<string, unknown> = {};
  const heads = new Map<string, string[][]>();
  for (const [head = "", ...tail] of paths) heads.set(head, [...(heads.get(head) ?? []), tail]);
  for (const [head, tails] of heads) {
    const inner = (value as Readonly<Record<string, unknown>>)[head];
    if (inner === undefined) continue;
    chosen[head] = tails.some((tail) => tail.length === 0) ? inner : pick(inner, tails);
  }
  return chosen;
}

/**
 * Leaves only these fields of each item of `data[items]`, or of `data` itself. An answer whose list is empty stays whole, because it says
 * why; of one that is no list the fields are its own.
 */
export function chooseFields(data: unknown, items: string | undefined, paths: readonly (readonly string[])[]): unknown {
  if (typeof data !== "object" || data === null) return data;
  const record = data as Readonly<Record<string, unknown>>;
  const staying = Object.fromEntries(STAY.filter((name) => name in record).map((name) => [name, record[name]]));
  const list = items === undefined ? undefined : record[items];
  if (items === undefined || list === undefined) return { ...(pick(record, paths) as object), ...staying };
  if (!Array.isArray(list) || list.length === 0) return data;
  return { [items]: pick(list, paths), ...staying };
}
