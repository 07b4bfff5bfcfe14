import type { Baseline, Calls, Chunk, Counts } from "./observe.ts";

/** So much more is no growth: a few lines of code, and pages that a random id puts on one side of a boundary or on the other. */
const MORE_CODE = 1.05;
const MORE_PAGES = { times: 1.1, bytes: 8192 };

/** What differs from the baseline, one line each. */
export interface Difference {
  readonly grown: readonly string[];
  readonly shrunk: readonly string[];
}

/** Holds what was observed against the baseline. Without what strace tells on either side, that part is left out. */
export function compare(
  { calls, chunks }: Baseline,
  now: { readonly calls: Calls; readonly chunks: Readonly<Record<string, Chunk>> },
): Difference {
  const grown: string[] = [];
  const shrunk: string[] = [];
  const weigh = (what: string, before: number, after: number, most = before, note = "") => {
    if (after > most) grown.push(`${what}: ${before} → ${after}${note}`);
    // Less than by as much as would be forgiven the other way says nothing.
    else if (after < before - (most - before)) shrunk.push(`${what}: ${before} → ${after}`);
  };
  for (const [name, { modules, packages, at }] of Object.entries(now.calls)) {
    const known = calls[name];
    if (known === undefined) {
      grown.push(`${name}: not in the baseline`);
      continue;
    }
    for (const [tasks, counts] of Object.entries(at)) {
      const before = known.at[tasks];
      if (before === undefined) grown.push(`${name} at ${tasks} tasks: not in the baseline`);
      else {
        const call = `${name} at ${tasks} tasks`;
        weigh(`${call}: modules`, before.modules, counts.modules, before.modules, added(known.modules, modules));
        weigh(`${call}: packages`, before.packages, counts.packages, before.packages, added(known.packages, packages));
        weigh(`${call}: bytes of modules`, before.module_bytes, counts.module_bytes, before.module_bytes * MORE_CODE);
        weigh(`${call}: statements of SQL`, before.statements, counts.statements);
        weighFiles(call, before, counts, weigh);
      }
    }
  }
  for (const [name, { modules, module_bytes }] of Object.entries(now.chunks)) {
    const known = chunks[name];
    if (known === undefined) grown.push(`the code of "${name}": not in the baseline`);
    else {
      weigh(`the code of "${name}": modules`, known.modules, modules);
      weigh(`the code of "${name}": bytes`, known.module_bytes, module_bytes, known.module_bytes * MORE_CODE);
    }
  }
  return { grown, shrunk };
}

const added = (before: readonly string[], after: readonly string[]): string => {
  const names = after.filter((name) => !before.includes(name));
  return names.length === 0 ? "" : ` (new: ${names.join(", ")})`;
};

type Weigh = (what: string, before: number, after: number, most?: number) => void;

function weighFiles(call: string, { touched: before }: Counts, { touched: after }: Counts, weigh: Weigh): void {
  if (before === undefined || after === undefined) return;
  for (const [what, key] of [
    ["opened", "opened"],
    ["flushed to the disk", "flushed"],
  ] as const) {
    const names = new Set([...Object.keys(before[key]), ...Object.keys(after[key])]);
    for (const name of names) weigh(`${call}: ${name} ${what}`, before[key][name] ?? 0, after[key][name] ?? 0);
  }
  for (const [what, key] of [
    ["bytes read", "read_bytes"],
    ["bytes written", "written_bytes"],
  ] as const) {
    weigh(`${call}: ${what}`, before[key], after[key], before[key] * MORE_PAGES.times + MORE_PAGES.bytes);
  }
}
