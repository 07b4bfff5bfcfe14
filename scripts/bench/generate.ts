import { fingerprintOf, sourceHash } from "../../src/prd/fingerprint.ts";
import { outlineOf } from "../../src/prd/section.ts";

/** A small generator of random numbers with a seed (mulberry32), so that every run works on the same specs. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const WORDS =
  "add check the parser for nested lists and keep order of keys when a file is saved under load retry after a lost reply".split(
    " ",
  );

const SECTIONS = 30;

/** The document that the tasks cite. */
export const PRD = Array.from(
  { length: SECTIONS },
  (_, i) => `## Section ${i}\n\n${`${WORDS.join(" ")}. `.repeat(1 + (i % 5)).trim()}\n`,
).join("\n");

/** So many tasks make a feature; dependencies are mostly inside one. */
const FEATURE = 40;
/** Tasks of a feature come in waves: what one wave needs is in the wave before, so that a feature is at most so many waves deep. */
const WAVE = 6;

const idOf = (i: number): string => `T-${String(i).padStart(6, "0")}`;

/**
 * A spec of `count` tasks in the shape of real projects: features of 40 tasks in waves of six, a task depending on up to three of the
 * wave before, every third feature beginning where an earlier one ended; descriptions between a line and a screen, labels, path locks,
 * every fifth task with the sections of a product document that it was cut from. A fifth is verified, the rest is ready but for some
 * that people set aside.
 *
 * @param cited one in so many tasks cites the document.
 */
export function generateSpec(count: number, cited = 5): string {
  const random = seeded(1);
  const pick = (n: number) => Math.floor(random() * n);
  const words = (n: number) => Array.from({ length: n }, () => WORDS[pick(WORDS.length)]).join(" ");
  const sections = outlineOf(PRD).sections;
  const prdHash = sourceHash(new TextEncoder().encode(PRD));
  const lines = ["project:", "  name: bench", "  default_branch: main", "  conventions: {}", "tasks:"];
  const verified = Math.floor(count / 5);

  /** The earlier tasks that one depends on. */
  const needsOf = (i: number): number[] => {
    const first = i - (i % FEATURE);
    const wave = Math.floor((i % FEATURE) / WAVE);
    if (wave === 0) {
      const feature = first / FEATURE;
      return i === first && feature > 0 && feature % 3 === 0 ? [(feature - 1 - pick(3)) * FEATURE + FEATURE - 1] : [];
    }
    const before = first + (wave - 1) * WAVE;
    return [...new Set(Array.from({ length: pick(4) }, () => before + pick(WAVE)))];
  };
  const description = (): string[] => {
    const paragraphs = [`WHAT: ${words(6 + pick(24))}`, `WHERE: src/part-${pick(50)}/${words(1)}.ts`];
    // Few are long, as people and planning agents write them.
    if (pick(3) > 0) paragraphs.push(`WHY: ${words(10 + pick(30))}`);
    if (pick(8) === 0) paragraphs.push(...Array.from({ length: 4 + pick(8) }, () => `- ${words(8 + pick(10))}`));
    return paragraphs;
  };

  for (let i = 0; i < count; i += 1) {
    const needs = needsOf(i);
    const isVerified = i < verified;
    const aside = !isVerified && pick(20) === 0 ? (pick(2) === 0 ? "todo" : "blocked") : "ready";
    lines.push(
      `  ${idOf(i)}:`,
      `    title: ${words(4 + pick(5))}`,
      "    description: |-",
      ...description().map((line) => `      ${line}`),
      "    acceptance_criteria:",
      ...Array.from({ length: 1 + pick(4) }, () => `      - ${words(5 + pick(8))}`),
      ...(needs.length === 0 ? [] : ["    depends_on:", ...needs.map((need) => `      - ${idOf(need)}`)]),
      `    labels: [${WORDS[pick(8)]}, ${WORDS[8 + pick(8)]}]`,
      `    locks: ['src/part-${pick(400)}/**']`,
      `    priority: ${1 + pick(5) * 50}`,
      `    status: ${isVerified ? "verified" : aside}`,
      "    created_at: '2026-01-04T09:19:43.789Z'",
      "    updated_at: '2026-01-04T09:19:43.789Z'",
      ...(isVerified
        ? [
            "    completed_by: A1",
            "    completed_at: '2026-01-05T09:19:43.789Z'",
            "    verified_by: A2",
            "    verified_at: '2026-01-06T09:19:43.789Z'",
          ]
        : []),
    );
    if (i % cited > 0) continue;
    const sources = [...new Set(Array.from({ length: 1 + pick(2) }, () => pick(sections.length)))].flatMap((nth) => {
      const section = sections[nth];
      return section === undefined ? [] : [section];
    });
    lines.push("    prd:", "      source: PRD.md", "      refs:");
    for (const section of sources) {
      lines.push(
        `        - anchor: '#${section.anchor}'`,
        `          lines: [${section.lines.join(", ")}]`,
        `          hash: '${fingerprintOf(section)}'`,
      );
    }
    lines.push(`      excerpt: ${words(20)}`, `      prd_hash: '${prdHash}'`);
  }
  lines.push("features:");
  for (let first = 0; first < count; first += FEATURE) {
    const ids = Array.from({ length: Math.min(FEATURE, count - first) }, (_, i) => idOf(first + i));
    lines.push(`  feature-${first / FEATURE}: [${ids.join(", ")}]`);
  }
  return `${lines.join("\n")}\n`;
}

/** Tasks that wait for nothing, as `task import` reads them: all can be taken at once. */
export function generatePlan(count: number): readonly { id: string; title: string; description: string }[] {
  const random = seeded(2);
  const words = (n: number) =>
    Array.from({ length: n }, () => WORDS[Math.floor(random() * WORDS.length)] ?? "").join(" ");
  return Array.from({ length: count }, (_, i) => ({ id: idOf(i), title: words(6), description: words(40) }));
}
