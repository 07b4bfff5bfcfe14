import { append, cut } from "./append.ts";

const KEPT_BY_INIT = "kept up to date by `lodestar init`; write outside these markers";
const END = "<!-- lodestar:end -->";
/** From a beginning to its end. A beginning that has lost its end is none: what comes after it is somebody's, up to the next one. */
const MARKED = /<!-- lodestar:begin[^\n]*-->(?:(?!<!-- lodestar:begin)[\s\S])*?<!-- lodestar:end -->/;

/**
 * What an agent needs to know to work here, in under 40 lines.
 * @param mark whose section it is, and what becomes of it.
 */
export function guideSection(mark = KEPT_BY_INIT): string {
  return `<!-- lodestar:begin (${mark}) -->
## Working with Lodestar

Tasks are in \`.lodestar/spec.yaml\`; who works on what now is in Lodestar's runtime. Use the \`lodestar\` command
(\`--json\` for machine-readable answers) and never edit a task's status by hand. One task's whole loop:

1. \`lodestar agent join --name NAME --json\` once, unless the session's start told you your id; keep \`agent_id\` and pass it as \`--agent ID\` (or \`LODESTAR_AGENT\`).
   Lost it? \`lodestar agent whoami\`
2. \`lodestar task next --claim --agent ID --json\` gives you a task that nobody else holds, with its context. No task? The
   answer says why; \`--wait 10m\` waits for one.
3. Do the work. The lease lasts 15 minutes: \`lodestar task renew TASK --agent ID\` extends it. Leave word for others with
   \`--note\` on the next commands. Cannot finish? \`lodestar task release TASK --agent ID --note "why"\`
4. \`lodestar task done TASK --agent ID --json\`, then commit your work together with \`.lodestar/spec.yaml\`.

A task waits until everything it depends on is verified: \`lodestar task verify TASK --agent ID\` after looking at the
work (\`lodestar task next --review --claim\` finds some). Planning: \`lodestar task create --title "…" --depends-on TASK\`;
many at once: \`lodestar task import FILE\`.

Ask and answer: \`lodestar msg send --task TASK --from ID --text "…"\` (or \`--to agent:ID\`), \`lodestar msg inbox --agent ID
--unread-only\`. What others left for you in a task's thread comes with the claim, as \`handoff\`.

Exit status: 0 done · 1 refused · 2 wrong call · 3 no such thing · 4 somebody else has it · 5 try again · 6 damaged file.
\`LEASE_LOST\` means that your lease is over: stop working on that task. \`lodestar COMMAND --help\` tells the rest.
${END}`;
}

/** Puts the section into a file's text: between the markers if they are there, else at the end. Nobody's own text is touched. */
export function withSection(text: string | undefined, section: string): string {
  if (text === undefined || !MARKED.test(text)) return append(text, section);
  return text.replace(MARKED, (there) => section.replaceAll("\n", there.includes("\r\n") ? "\r\n" : "\n"));
}

/** True when a section of Lodestar's is there; with `by` only one whose mark begins so. */
export const hasSection = (text: string, by?: string): boolean => {
  const section = MARKED.exec(text)?.[0];
  return section !== undefined && (by === undefined || section.startsWith(`<!-- lodestar:begin (${by}`));
};

/** The text without the section whose mark begins so, as {@link withSection} found it; `undefined` when the file was made for it. */
export function withoutSection(text: string, by: string): string | undefined {
  const section = MARKED.exec(text)?.[0];
  return section !== undefined && hasSection(text, by) ? cut(text, section) : text;
}
