/** The merge of what stands around the tasks: the project, the features, and whatever other keys there are. */
import { type Fields, mergeSets, mergeValue, sameValue } from "./merge-values.ts";
import { isMapping } from "./schema.ts";

/** A value around the tasks that both sides changed in different ways; where it stands, and what each side says. */
export interface SectionClash {
  readonly path: readonly string[];
  readonly ours: unknown;
  readonly theirs: unknown;
}

export interface MergedSections {
  readonly sections: Fields;
  readonly clashes: readonly SectionClash[];
}

/** Mappings that are merged key by key. */
const OPENED = new Set(["project", "project.conventions"]);

/** Merges the top-level keys of two versions. Where values clash, ours are in the result. */
export function mergeSections(base: Fields, ours: Fields, theirs: Fields): MergedSections {
  const clashes: SectionClash[] = [];
  const merge = (path: readonly string[], b: Fields, o: Fields, t: Fields): Fields => {
    const merged: Record<string, unknown> = {};
    for (const key of new Set([...Object.keys(o), ...Object.keys(t)])) {
      const at = [...path, key];
      const [was, mine, other] = [b[key], o[key], t[key]].map((value) => value ?? undefined);
      if (at.join(".") === "features" && isFeatures(mine) && isFeatures(other)) {
        merged[key] = mergeFeatures(isFeatures(was) ? (was ?? {}) : {}, mine ?? {}, other ?? {});
      } else if (OPENED.has(at.join(".")) && isMapping(mine ?? {}) && isMapping(other ?? {})) {
        merged[key] = merge(at, isMapping(was) ? was : {}, (mine ?? {}) as Fields, (other ?? {}) as Fields);
      } else {
        const { value, clash } = mergeValue(key, was, mine, other);
        merged[key] = value;
        if (clash !== undefined) clashes.push({ path: at, ours: clash.ours, theirs: clash.theirs });
      }
    }
    return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
  };
  return { sections: merge([], base, ours, theirs), clashes };
}

type Features = Readonly<Record<string, readonly string[] | null>>;

function isFeatures(value: unknown): value is Features | undefined {
  return (
    value === undefined || (isMapping(value) && Object.values(value).every((ids) => ids === null || Array.isArray(ids)))
  );
}

/** Each feature's ids as a set. A feature that one side removed is gone, unless the other changed it. */
function mergeFeatures(base: Features, ours: Features, theirs: Features): Features {
  const merged: Record<string, readonly string[]> = {};
  for (const feature of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const [was, mine, other] = [base, ours, theirs].map((side) =>
      Object.hasOwn(side, feature) ? (side[feature] ?? []) : undefined,
    );
    if (mine !== undefined && other !== undefined) merged[feature] = mergeSets(was ?? [], mine, other);
    else if (was === undefined || !sameValue(was, mine ?? other)) merged[feature] = mine ?? other ?? [];
  }
  return merged;
}
