import { isAbsolute, join } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { Flag, List, OneOf, Optional, Shape, Text } from "../../core/schema.ts";
import { line, list, text } from "../../core/view.ts";
import { isThere, readPlainBytes } from "../../git/plain-file.ts";
import { isFolder } from "../../git/worktree.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { NotEditable } from "../repo/json-edit.ts";
import type { Part } from "./parts.ts";
import { IN_HOME, IN_REPOSITORY, TOOLS, type Tool } from "./tools.ts";
import { inTheWay, isWithin, type Rewrite, removeEmptyFolders, writeTogether } from "./write-files.ts";

export default command({
  name: "setup",
  effect: "write",
  only_reads: ({ check, print }) => check === true || print === true,
  summary: "Have a coding agent work with Lodestar",
  explain:
    "Writes what the tool reads: its entry for the MCP server, a section with instructions, and hooks where it has them (all but generic). Files that exist keep every byte of their own, comments and line ends too. What an older version put is brought up to date; what somebody has changed, or had there under Lodestar's name already, stays. --check says what is missing or of an older version, --print shows the files as they would be, --remove takes out exactly what was put in. All files are written, or none. Nothing outside the repository is touched; with --global the files in your home are meant, for all repositories.",
  anywhere: true,
  positional: ["tool"],
  input: Shape({
    tool: OneOf(TOOLS, { description: "The coding agent; generic: whatever reads AGENTS.md and .mcp.json" }),
    check: Optional(Flag({ description: "Only say what is missing or older (exit status 1)" })),
    remove: Optional(Flag({ description: "Take out what was put in" })),
    print: Optional(Flag({ description: "Show the files instead of writing them" })),
    global: Optional(Flag({ description: "The files in your home, not in the repository" })),
  }),
  output: Shape({
    tool: OneOf(TOOLS),
    complete: Flag({ description: "Whether the tool has everything now" }),
    changed: List(Text({ description: "Files that were written or removed" })),
    files: Optional(List(Shape({ path: Text(), text: Optional(Text()) }), { description: "With --print" })),
  }),
  errors: ["NOT_A_REPOSITORY", "UNHEALTHY", "PATH_NOT_FOUND"],
  examples: [
    { line: "lodestar setup claude", shows: "Claude Code: server, instructions, hooks" },
    { line: "lodestar setup codex --check", shows: "Is anything missing?" },
    { line: "lodestar setup cursor --remove", shows: "Take it out again" },
  ],
  run: async (input, context) => {
    const { tool, check, remove, print } = input;
    if (check === true && (remove === true || print === true))
      throw new LodestarError("USAGE", "--check goes with neither --remove nor --print.");
    const { root, parts } = partsOf(tool, input.global === true, context);
    const found = parts.map((part) => ({ ...placeOf(part, root), part }));
    const states = found.map(({ part, path, before }) => editing(path, () => part.state(before)));
    for (const [at, { name, part }] of found.entries()) {
      if (states[at] === "own") context.warn(ownForm(part.what, name, tool, input));
    }
    if (check === true) {
      const missing = found.filter((_, at) => states[at] === "missing");
      const older = found.filter((_, at) => states[at] === "older");
      if (missing.length + older.length > 0) throw incomplete(tool, input.global === true, missing, older);
      return { tool, complete: true, changed: [] };
    }
    const rewrites = found
      .map(({ part, path, name, before }) => ({
        path,
        name,
        before,
        after: editing(path, () => rewritten(part, before, remove === true)),
      }))
      .filter(({ before, after }) => before !== after);
    const changed = rewrites.map(({ name }) => name);
    const complete = remove !== true;
    if (print === true) {
      const files = rewrites.map(({ name, after }) => ({
        path: name,
        ...(after === undefined ? {} : { text: after }),
      }));
      return { tool, complete: rewrites.length === 0 && complete, changed: [], files };
    }
    writeTogether(rewrites, context.random);
    if (remove === true && input.global !== true) sweep(root, rewrites);
    if (remove !== true && input.global !== true && !context.initialized)
      context.warn("Lodestar itself is not set up here yet: `lodestar init`");
    return { tool, complete, changed };
  },
  next: ({ tool, complete, changed }, { global }) =>
    complete && changed.length > 0
      ? [
          {
            command: "setup",
            input: { tool, check: true, ...(global === true ? { global } : {}) },
            why: "See that nothing is missing",
          },
        ]
      : [],
  view: ({ tool, complete, changed, files }, { remove }) => {
    if (files !== undefined) {
      if (files.length === 0) return [line("Nothing would change")];
      return files.flatMap(({ path, text: body }) =>
        body === undefined ? [line(`${path} would be removed`, "strong")] : [line(path, "strong"), text(body)],
      );
    }
    if (changed.length === 0)
      return [line(complete ? `${tool} has everything already` : `Nothing of Lodestar's was found for ${tool}`)];
    return [
      line(remove === true ? `Lodestar is taken out of what ${tool} reads` : `${tool} works with Lodestar`, "good"),
      list(changed, remove === true ? "Taken out of" : "Written"),
    ];
  },
});

function partsOf(tool: Tool, global: boolean, { env, place }: Context): { root: string; parts: readonly Part[] } {
  if (!global) return { root: place.root, parts: IN_REPOSITORY[tool] };
  const home = env.HOME || env.USERPROFILE;
  const parts = IN_HOME[tool];
  if (parts === undefined)
    throw new LodestarError("USAGE", `${tool} has no files in your home that can be set up; leave out --global.`);
  if (home === undefined) throw new LodestarError("USAGE", "--global needs to know your home: HOME is not set.");
  if (!isAbsolute(home) || !isFolder(home))
    throw new LodestarError("USAGE", `--global needs to know your home: ${JSON.stringify(home)} is no folder.`, {
      hint: "Set HOME to the whole path of your home.",
    });
  return { root: home, parts };
}

/** @throws LodestarError `PATH_NOT_FOUND` when the file leads out of the root, cannot be there, or cannot be read as text. */
function placeOf(part: Part, root: string): { path: string; name: string; before: string | undefined } {
  const name = part.instead !== undefined && isThere(join(root, part.instead)) ? part.instead : part.path;
  const path = join(root, name);
  if (!isWithin(root, path)) throw unusable(path, `leads nowhere, or out of ${root}`);
  const other = inTheWay(path);
  if (other !== undefined) throw unusable(path, `cannot be there: ${other} is no folder`);
  const bytes = readPlainBytes(path);
  if (bytes === undefined && isThere(path)) throw unusable(path, "is no file that can be read");
  const before = bytes?.toString("utf8");
  // It would not be written back as it was.
  if (bytes !== undefined && !bytes.equals(Buffer.from(before ?? ""))) throw unusable(path, "is no text in UTF-8");
  return { path, name, before };
}

const unusable = (path: string, why: string): LodestarError =>
  new LodestarError("PATH_NOT_FOUND", `${path} ${why}; nothing was written`, {
    details: { path },
    hint: "Put a plain text file there, or move it away.",
  });

function rewritten(part: Part, before: string | undefined, remove: boolean): string | undefined {
  if (!remove) return part.put(before);
  return before === undefined ? undefined : part.take(before);
}

function editing<T>(path: string, edit: () => T): T {
  try {
    return edit();
  } catch (cause) {
    if (!(cause instanceof NotEditable)) throw cause;
    throw new LodestarError("USAGE", `${path} cannot be edited: ${cause.message}; nothing was written`, {
      cause,
      details: { path },
      hint: "Mend the file, or add what `lodestar setup TOOL --print` shows elsewhere by hand.",
    });
  }
}

interface Asked {
  readonly global?: boolean;
  readonly remove?: boolean;
}

function ownForm(what: string, name: string, tool: Tool, { global, remove }: Asked): string {
  const stays = `${name} has ${what} in a form of its own, which stays`;
  return remove === true
    ? `${stays}; take it out by hand`
    : `${stays}; for this version's form take it out and run \`${again(tool, global === true)}\``;
}

const again = (tool: Tool, global: boolean): string => `lodestar setup ${tool}${global ? " --global" : ""}`;

interface Found {
  readonly name: string;
  readonly part: Part;
}

function incomplete(tool: Tool, global: boolean, missing: readonly Found[], older: readonly Found[]): LodestarError {
  const named = (found: readonly Found[]): string =>
    found.map(({ name, part }) => `${part.what} in ${name}`).join(", ");
  const said = [
    ...(missing.length > 0 ? [`lacks ${named(missing)}`] : []),
    ...(older.length > 0 ? [`has of an older version ${named(older)}`] : []),
  ];
  return new LodestarError("UNHEALTHY", `${tool} ${said.join(", and ")}`, {
    details: {
      data: { tool, complete: false, changed: [] },
      missing: missing.map(({ name }) => name),
      older: older.map(({ name }) => name),
    },
    hint: `Run \`${again(tool, global)}\`.`,
  });
}

function sweep(root: string, rewrites: readonly Rewrite[]): void {
  for (const { path, after } of rewrites) if (after === undefined) removeEmptyFolders(root, path);
}
