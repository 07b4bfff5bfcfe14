import { asBuffer, divide } from "./division.ts";
import { follow, outline } from "./outline.ts";
import { placed } from "./problems.ts";

/** A place to look at; lines and columns (characters) count from 1. */
export interface Spot {
  readonly line: number;
  readonly column: number;
}

/** Where tasks and their fields stand in a spec that can be read: nothing is parsed, and only what is asked for is looked at. */
export class Places {
  readonly #bytes: Buffer;
  #blocks: Map<string, { readonly start: number; readonly end: number }> | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
  }

  /**
   * Where a task, or the value at a path in it (`"depends_on", 2`), stands; as far as the path goes.
   * @returns `undefined` where that cannot be told without the parser: anchors, tags and the like.
   */
  find(task_id: string, ...path: readonly (string | number)[]): Spot | undefined {
    const at = this.#offset(task_id, path);
    if (at === undefined) return undefined;
    const [spot] = placed(this.#bytes, [{ at, message: "", hint: "" }]);
    return spot === undefined ? undefined : { line: spot.line, column: spot.column };
  }

  #offset(task_id: string, path: readonly (string | number)[]): number | undefined {
    this.#blocks ??= new Map(divide(this.#bytes)?.blocks.map((block) => [block.id, block]));
    const block = this.#blocks.get(task_id);
    // A file that does not divide into blocks is outlined as a whole: one in flow style, say.
    const { start, end } = block ?? { start: 0, end: this.#bytes.length };
    const text = this.#bytes.toString("utf8", start, end);
    const root = outline(text)?.root;
    if (root === undefined) return block && start + text.search(/[^ ]/);
    const way = block === undefined ? ["tasks", task_id] : [task_id];
    const parent = follow(root, way.slice(0, -1))?.node;
    const key = parent?.kind === "mapping" ? parent.entries.find((entry) => entry.key === task_id) : undefined;
    if (key === undefined) return undefined;
    const found = path.length === 0 ? key.start : (follow(root, [...way, ...path])?.at ?? key.start);
    return start + Buffer.byteLength(text.slice(0, found));
  }
}
