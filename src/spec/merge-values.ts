/** What a merge of two versions of one mapping says, field by field (model.md, S4). No text, no positions. */
import { joinOutcomes, joinWords, type Outcome, sameReopens, statusOf, type Word } from "../core/status.ts";
import { createdKey, specOutcome, specWord } from "../core/task.ts";
import { readInstant } from "../core/time.ts";
import { isMapping, readReopens } from "./schema.ts";

/** A task, or another mapping, as the file has it: unknown keys too. */
export type Fields = Readonly<Record<string, unknown>>;

/** A field that both sides changed in different ways. `undefined`: that side has none. */
export interface Clash {
  readonly field: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

export type MergedTask =
  | { readonly kind: "merged"; readonly fields: Fields; readonly clashes: readonly Clash[] }
  /** The id stands for two different tasks. */
  | { readonly kind: "two" };

const LISTS = ["acceptance_criteria", "depends_on", "labels", "locks"];
const COMPLETED = ["completed_at", "completed_by", "completed_in"];
const VERIFIED = ["verified_at", "verified_by"];
const INSTANTS = ["created_at", "updated_at", "completed_at", "verified_at"];
const RULED = new Set([...LISTS, ...COMPLETED, ...VERIFIED, "status", "reopens", "created_at", "updated_at"]);

/** The value without keys that hold null, which is the same as their absence. */
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (!isMapping(value)) return value ?? undefined;
  const present = Object.entries(value).filter(([, item]) => item !== null && item !== undefined);
  return Object.fromEntries(present.map(([key, item]) => [key, clean(item)]));
}

export const sameValue = (a: unknown, b: unknown): boolean => Bun.deepEquals(clean(a), clean(b));

/** Do two values of a task's field mean the same? */
export function sameField(field: string, a: unknown, b: unknown): boolean {
  if (field === "priority") return (a ?? 100) === (b ?? 100);
  if (field === "reopens") return sameReopens(reopensOf(a), reopensOf(b));
  if (LISTS.includes(field)) return sameValue(a ?? [], b ?? []);
  if (INSTANTS.includes(field)) return instantText(a) === instantText(b);
  return sameValue(a, b);
}

export function sameFields(a: Fields, b: Fields): boolean {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameField(key, a[key], b[key]));
}

function reopensOf(value: unknown): readonly string[] {
  return readReopens((value ?? undefined) as readonly string[] | number | undefined);
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const instantText = (value: unknown): string => createdKey(textOf(value));

/** The later of two instants; text that is none comes first. */
function later(a: unknown, b: unknown): unknown {
  const [x, y] = [textOf(a), textOf(b)];
  if (x === undefined || y === undefined) return x ?? y;
  return (readInstant(y) ?? Number.NEGATIVE_INFINITY) > (readInstant(x) ?? Number.NEGATIVE_INFINITY) ? y : x;
}

function earlier(a: unknown, b: unknown): unknown {
  const [x, y] = [textOf(a), textOf(b)];
  if (x === undefined || y === undefined) return x ?? y;
  return later(x, y) === x ? y : x;
}

/**
 * Three-way merge of sets: an item is in the result when both have it, or when one side has added it. In our order; what
 * they added comes behind what it follows there.
 */
export function mergeSets<T>(base: readonly T[], ours: readonly T[], theirs: readonly T[]): readonly T[] {
  const same = (a: readonly T[], b: readonly T[]) => a.length === b.length && a.every((item, i) => item === b[i]);
  if (same(ours, base)) return theirs;
  if (same(theirs, base)) return ours;
  const [had, they] = [new Set(base), new Set(theirs)];
  const result = ours.filter((item) => they.has(item) || !had.has(item));
  const has = new Set(result);
  for (const [i, item] of theirs.entries()) {
    if (has.has(item) || had.has(item)) continue;
    const behind = theirs.slice(0, i).findLast((other) => has.has(other));
    result.splice(behind === undefined ? 0 : result.lastIndexOf(behind) + 1, 0, item);
    has.add(item);
  }
  return result;
}

/** Three-way merge of one value that is taken whole. */
export function mergeValue(
  field: string,
  base: unknown,
  ours: unknown,
  theirs: unknown,
  same: (a: unknown, b: unknown) => boolean = sameValue,
): { readonly value: unknown; readonly clash?: Clash } {
  if (same(ours, theirs) || same(theirs, base)) return { value: ours };
  if (same(ours, base)) return { value: theirs };
  return { value: ours, clash: { field, ours: ours ?? undefined, theirs: theirs ?? undefined } };
}

/** Is this side's task another than the base's: removed there, and the id used again later? */
function isAnother(side: Fields, base: Fields | undefined): boolean {
  if (base === undefined) return false;
  const [now, before] = [instantText(side.created_at), instantText(base.created_at)];
  return now !== "" && before !== "" && now > before;
}

/** Merges two versions of one task. Where values clash, ours are in the result. */
export function mergeTask(base: Fields | undefined, ours: Fields, theirs: Fields): MergedTask {
  const [mine, other] = [isAnother(ours, base), isAnother(theirs, base)];
  if (base === undefined || (mine && other)) {
    return instantText(ours.created_at) === instantText(theirs.created_at)
      ? mergeOne(undefined, ours, theirs)
      : { kind: "two" };
  }
  if (mine !== other) {
    const [anew, old] = mine ? [ours, theirs] : [theirs, ours];
    return sameFields(old, base) ? { kind: "merged", fields: anew, clashes: [] } : { kind: "two" };
  }
  return mergeOne(base, ours, theirs);
}

function mergeOne(base: Fields | undefined, ours: Fields, theirs: Fields): MergedTask {
  const fields: Record<string, unknown> = {};
  const clashes: Clash[] = [];
  for (const field of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    if (RULED.has(field)) continue;
    const same = (a: unknown, b: unknown) => sameField(field, a, b);
    const { value, clash } = mergeValue(field, base?.[field], ours[field], theirs[field], same);
    fields[field] = value;
    if (clash !== undefined) clashes.push(clash);
  }
  const list = (side: Fields | undefined, field: string) => (side?.[field] ?? []) as readonly string[];
  for (const field of LISTS) {
    const merged = mergeSets(list(base, field), list(ours, field), list(theirs, field));
    fields[field] = merged.length === 0 ? undefined : merged;
  }
  fields.created_at = earlier(ours.created_at, theirs.created_at);
  fields.updated_at = later(ours.updated_at, theirs.updated_at);
  Object.assign(fields, mergeOutcome(base, ours, theirs));
  const set = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return { kind: "merged", fields: Object.fromEntries(set), clashes };
}

interface Stated {
  readonly outcome: Outcome;
  readonly word: Word;
  readonly fields: Fields;
}

function stated(fields: Fields): Stated {
  const task = {
    status: fields.status as Parameters<typeof specWord>[0]["status"],
    reopens: reopensOf(fields.reopens),
    ...(typeof fields.verified_at === "string" ? { verified_at: fields.verified_at } : {}),
  };
  return { outcome: specOutcome(task), word: specWord(task), fields };
}

/** Status and reopens by the lattice, the word of rank 0 three-way, and the records of who did it as one. */
function mergeOutcome(base: Fields | undefined, our: Fields, their: Fields): Fields {
  const before = base === undefined ? undefined : stated(base);
  const [ours, theirs] = [stated(our), stated(their)];
  const joined = joinOutcomes(ours.outcome, theirs.outcome);
  const word =
    ours.word === theirs.word || theirs.word === before?.word
      ? ours.word
      : ours.word === before?.word
        ? theirs.word
        : joinWords(ours.word, theirs.word);
  const record = mergeRecord(before, ours, theirs, joined);
  return {
    ...record,
    status: statusOf(joined, word),
    reopens: joined.reopens.length === 0 ? undefined : joined.reopens,
  };
}

const has = (fields: Fields, keys: readonly string[]) => keys.some((key) => (fields[key] ?? undefined) !== undefined);
const pick = (fields: Fields, keys: readonly string[]): Fields =>
  Object.fromEntries(keys.map((key) => [key, fields[key]]));
const RECORD = [...COMPLETED, ...VERIFIED];

function mergeRecord(before: Stated | undefined, ours: Stated, theirs: Stated, joined: Outcome): Fields {
  const wins = ({ outcome }: Stated) => outcome.rank === joined.rank && sameReopens(outcome.reopens, joined.reopens);
  const winners = [ours, theirs].filter(wins);
  const [first, second] = winners;
  if (first === undefined) return {};
  let winner = first;
  if (second !== undefined && !sameRecord(first, second)) {
    const was = before !== undefined && wins(before) ? before : undefined;
    if (was !== undefined && sameRecord(was, first)) winner = second;
    else if (was === undefined || !sameRecord(was, second)) winner = laterRecord(first, second);
  }
  const loser = winner === ours ? theirs : ours;
  const record: Record<string, unknown> = { ...pick(winner.fields, RECORD) };
  if (joined.rank > 0 && sameReopens(loser.outcome.reopens, joined.reopens)) {
    if (!has(record, COMPLETED)) Object.assign(record, pick(loser.fields, COMPLETED));
    if (joined.verified && !has(record, VERIFIED)) Object.assign(record, pick(loser.fields, VERIFIED));
  }
  // A deleted task says that it was verified by this field alone; without it its dependents would block (counterexample 17).
  if (joined.rank === 3 && joined.verified) {
    const known = loser.outcome.verified ? loser.fields : winner.fields;
    record.verified_at ??=
      known.verified_at ?? known.updated_at ?? known.completed_at ?? known.created_at ?? "1970-01-01T00:00:00.000Z";
  }
  return record;
}

function sameRecord(a: Stated, b: Stated): boolean {
  return RECORD.every((key) => sameField(key, a.fields[key], b.fields[key]));
}

/** Of two records of the same outcome, the later; at the same time, that of the greater agent id. */
function laterRecord(a: Stated, b: Stated): Stated {
  const key = ({ fields, outcome }: Stated): string[] => {
    const [done, seen] = [instantText(fields.completed_at), instantText(fields.verified_at)];
    const agents = [String(fields.completed_by ?? ""), String(fields.verified_by ?? "")];
    const times = outcome.rank === 1 ? [done, seen] : [seen, done];
    return [
      ...times,
      ...(outcome.rank === 1 ? agents : agents.toReversed()),
      JSON.stringify(fields.completed_in ?? ""),
    ];
  };
  const [x, y] = [key(a), key(b)];
  const i = x.findIndex((part, at) => part !== y[at]);
  return i < 0 || (x[i] ?? "") > (y[i] ?? "") ? a : b;
}
