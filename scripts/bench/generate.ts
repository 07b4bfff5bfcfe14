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
export const PRD = Array.from({ length: SECTIONS }, (_, i) => `## Section ${i}\n\n${WORDS.join(" ")}.\n`).join("\n");

/**
 * A spec of `count` tasks in the shape of real projects: features of about 40 tasks, each task depending on up to three earlier ones of
 * its feature, descriptions of a few lines, labels, path locks, every tenth with a PRD reference; a fifth is verified.
 */
export function generateSpec(count: number, seed = 1): string {
  const random = seeded(seed);
  const pick = (n: number) => Math.floor(random() * n);
  const words = (n: number) => Array.from({ length: n }, () => WORDS[pick(WORDS.length)]).join(" ");
  const lines = ["project:", "  name: bench", "  default_branch: main", "  conventions: {}", "tasks:"];
  const verified = Math.floor(count / 5);
  for (let i = 0; i < count; i += 1) {
    const id = `T-${String(i).padStart(6, "0")}`;
    const first = i - (i % 40);
    const needs = [...new Set(Array.from({ length: pick(4) }, () => first + pick(40)).filter((need) => need < i))];
    const isVerified = i < verified;
    lines.push(
      `  ${id}:`,
      `    title: ${words(6)}`,
      "    description: |-",
      `      WHAT: ${words(18)}`,
      `      WHERE: src/part-${pick(50)}/${words(1)}.ts`,
      `      WHY: ${words(24)}`,
      "    acceptance_criteria:",
      `      - ${words(8)}`,
      `      - ${words(7)}`,
      ...(needs.length === 0
        ? []
        : ["    depends_on:", ...needs.map((need) => `      - T-${String(need).padStart(6, "0")}`)]),
      `    labels: [${WORDS[pick(8)]}, ${WORDS[8 + pick(8)]}]`,
      `    locks: ['src/part-${pick(400)}/**']`,
      `    priority: ${1 + pick(5) * 50}`,
      `    status: ${isVerified ? "verified" : "ready"}`,
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
      ...(i % 10 === 0
        ? [
            "    prd:",
            "      source: PRD.md",
            "      refs:",
            `        - anchor: '#section-${pick(SECTIONS)}'`,
            `      excerpt: ${words(20)}`,
          ]
        : []),
    );
  }
  return `${lines.join("\n")}\n`;
}
