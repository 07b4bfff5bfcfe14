/** What `init --prd` writes: how to have a product document written that tasks can cite, for a person to hand to an agent. */
export const PRD_PROMPT = `# Write the product requirements document

Write \`PRD.md\` in the root of this repository: what is to be built, for whom, and how we will know that it works. It is
read by people and by coding agents. Tasks cite its sections, and whoever takes a task reads only the sections it cites,
so every section must make sense alone.

## Before you write

- Read the README and look at the code that is there. Ask about what you cannot find out: who uses it, what must not change,
  what is out of scope.
- Do not invent requirements. What nobody has decided goes under *Open questions*.

## The document

Use these headings, in this order; leave out what does not apply:

1. \`# Product name\`, and two sentences on what it is
2. \`## Problem\`: what is wrong today, for whom
3. \`## Goals\` and \`## Non-goals\`
4. \`## Users\`
5. \`## Requirements\`, with one \`###\` section for each capability: what it does, its limits in numbers, what happens when
   something goes wrong, and how to check it
6. \`## Constraints\`: platforms, performance, security, what it must work with
7. \`## Milestones\`: what comes first
8. \`## Open questions\`

## Rules for sections

- A section is about one thing, 5 to 40 lines. When two people would work on it, split it.
- Give every heading its own words: anchors are made from them (\`## Log in\` is \`#log-in\`; a second one would be
  \`#log-in-1\`). To keep an anchor when the wording changes, write it out: \`## Log in {#log-in}\`.
- Write what must hold ("A session ends after 30 minutes without a request"), not how to program it.
- Numbers and examples instead of adjectives. Examples go into code fences.
- Do not say "see above": name the section, \`[sessions](#sessions)\`.

## Then plan the tasks

\`lodestar prd outline PRD.md\` lists the anchors. For each piece of work that one agent can finish in one go:

\`\`\`sh
lodestar task create --title "Sessions end after 30 minutes" \\
  --prd-source PRD.md --prd-ref '#sessions' \\
  --accept "A request after 31 minutes is answered with 401" \\
  --depends-on TASK-001 --lock 'src/session/**'
\`\`\`

Many at once: \`lodestar task import FILE\`. \`lodestar prd coverage\` shows the sections that no task cites yet. When the
document changes later, \`lodestar prd check\` says which tasks that concerns.
`;
