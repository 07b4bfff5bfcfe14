import { existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { LodestarError, writeError } from "../../core/errors.ts";
import { randomDigits } from "../../core/ids.ts";
import { Flag, List, Optional, Shape, Text } from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { installDriver } from "../../git/attributes.ts";
import { ensureIgnored } from "../../git/ignore.ts";
import { isExtensible, isThere, readPlain, readPlainBytes, staysInside } from "../../git/plain-file.ts";
import { createFile, replaceFile } from "../../git/replace.ts";
import { findPlace, type Place, readHead } from "../../git/worktree.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { guideSection, withSection } from "./guide.ts";
import { withMcpServer } from "./mcp-config.ts";

export default command({
  name: "init",
  effect: "write",
  summary: "Set up Lodestar in a repository",
  explain:
    "Creates .lodestar/spec.yaml (committed: what the work is), the ignore rules for its databases, the merge driver that lets Git merge the spec by tasks, and a section in AGENTS.md that tells an agent how to work with it. Running it again adds what is missing and changes nothing else: an existing spec stays as it is, and in AGENTS.md only the text between Lodestar's own markers is kept up to date. --force starts a new spec and keeps the old one beside it.",
  anywhere: true,
  positional: ["path"],
  aliases: { name: "n", force: "f" },
  input: Shape({
    path: Optional(Text({ minLength: 1, description: "Directory (default: the repository's root)" })),
    name: Optional(Text({ minLength: 1, maxLength: 200, description: "Project name (default: the directory's)" })),
    force: Optional(Flag({ description: "Begin a new spec; the old one is kept as a backup" })),
    mcp: Optional(Flag({ description: "Also write .mcp.json and .vscode/mcp.json" })),
    prd: Optional(Flag({ description: "Also write PRD-PROMPT.md: how to have a product document written" })),
    agents_md: Optional(Flag({ default: true, description: "Write the AGENTS.md section" })),
    git: Optional(Flag({ default: true, description: "Write the clone's ignore rules and merge driver" })),
  }),
  output: Shape({
    initialized: Flag(),
    path: Text(),
    project_name: Text(),
    files_created: List(Text()),
    files_updated: Optional(List(Text())),
    backup: Optional(Text()),
  }),
  errors: ["PATH_NOT_FOUND", "NOT_A_REPOSITORY", "READ_ONLY"],
  examples: [
    { line: "lodestar init", shows: "In the repository's root" },
    { line: "lodestar init --name shop --mcp", shows: "With a name, and files for MCP clients" },
  ],
  run: async (input, context) => {
    const target = input.path === undefined ? context.place.root : resolve(context.cwd, input.path);
    try {
      const folder = join(target, ".lodestar");
      if (isThere(folder) && !existsSync(join(folder, "spec.yaml")) && !staysInside(target, folder)) {
        throw new LodestarError("PATH_NOT_FOUND", `${folder} leads out of ${target}; nothing is made there`, {
          details: { path: folder },
          hint: "Remove the link, or run `lodestar init` where it leads.",
        });
      }
      mkdirSync(folder, { recursive: true });
      return await setUp(target, input, context);
    } catch (cause) {
      const { code } = cause as { code?: string };
      if (code === "ENOTDIR" || code === "EEXIST" || code === "ENOENT" || code === "ENAMETOOLONG" || code === "ELOOP")
        throw new LodestarError("PATH_NOT_FOUND", `${target} is no directory, and none can be made there`, {
          cause,
          details: { path: target },
        });
      throw writeError(target, cause);
    }
  },
  next: () => [
    { command: "agent.join", input: {}, why: "Register as an agent" },
    { command: "task.create", input: {}, why: "Create your first task" },
    { command: "status", input: {}, why: "See the overview" },
  ],
  view: ({ path, files_created, files_updated, backup }) => [
    line(
      files_created.length === 0 && files_updated === undefined
        ? `Lodestar is set up in ${path} already`
        : `Initialized Lodestar in ${path}`,
      "good",
    ),
    ...(files_created.length === 0 ? [] : [list(files_created, "Created")]),
    ...(files_updated === undefined ? [] : [list(files_updated, "Updated")]),
    ...(backup === undefined ? [] : [line(`The old spec is kept as ${backup}`, "warn")]),
  ],
});

interface Wanted {
  readonly name?: string;
  readonly force?: boolean;
  readonly mcp?: boolean;
  readonly prd?: boolean;
  readonly agents_md?: boolean;
  readonly git?: boolean;
}

async function setUp(target: string, wanted: Wanted, context: Context) {
  const found = findPlace(target);
  const place: Place = found === undefined ? { root: target, worktree: target } : { ...found, root: target };
  const created: string[] = [];
  const updated: string[] = [];
  const note = (path: string, existed: boolean): void => {
    (existed ? updated : created).push(path);
  };
  const spec = join(target, ".lodestar", "spec.yaml");
  const isOld = existsSync(spec);
  const keeps = isOld && wanted.force !== true;
  if (isOld && !keeps) oldBytes(spec);
  const project_name = (keeps ? nameIn(spec) : undefined) ?? wanted.name ?? basename(target);
  // Named first and written last: whatever fails on the way, an old spec is as it was.
  if (!keeps) note(spec, isOld);
  const ignored = ensureIgnored(wanted.git === false ? { root: place.root, worktree: place.worktree } : place);
  created.push(...ignored.filter((path) => path.endsWith(".gitignore")));
  updated.push(...ignored.filter((path) => !path.endsWith(".gitignore")));
  if (wanted.git !== false && place.git !== undefined) {
    const existed = existsSync(join(target, ".gitattributes"));
    const driver = installDriver(place);
    for (const path of driver.files) note(path, existed);
    if (driver.config) updated.push(join(place.git.common_dir, "config"));
  }
  const extend = (path: string, text: (before: string | undefined) => string): void => {
    if (!staysInside(target, path) || !isExtensible(path)) {
      context.warn(`${path} leads out of the repository or is no readable file; it is left alone.`);
      return;
    }
    const before = readPlain(path);
    const after = text(before);
    if (after === before) return;
    mkdirSync(dirname(path), { recursive: true });
    replaceFile(path, after);
    note(path, before !== undefined);
  };
  if (wanted.agents_md !== false) extend(join(target, "AGENTS.md"), (text) => withSection(text, guideSection()));
  if (wanted.prd === true) {
    const { PRD_PROMPT } = await import("./prd-prompt.ts");
    // Somebody may have made it their own.
    extend(join(target, "PRD-PROMPT.md"), (text) => text ?? PRD_PROMPT);
  }
  if (wanted.mcp === true) {
    const [root, vscode] = [join(target, ".mcp.json"), join(target, ".vscode", "mcp.json")];
    extend(root, (text) => withMcpServer(root, text, "mcpServers"));
    extend(vscode, (text) => withMcpServer(vscode, text, "servers"));
  }
  const text = newSpec(project_name, readHead(place).branch);
  if (!isOld) makeSpec(spec, text);
  // Under the lock, so that nobody's save comes between the copy and the new one.
  const backup =
    isOld && !keeps ? await context.specAt(place).locked(async () => beginAnew(spec, text, context)) : undefined;
  return {
    initialized: true,
    path: target,
    project_name,
    files_created: created,
    ...(updated.length === 0 ? {} : { files_updated: updated }),
    ...(backup === undefined ? {} : { backup }),
  };
}

/** One that another process has made meanwhile stays. */
function makeSpec(spec: string, text: string): void {
  try {
    createFile(spec, text);
  } catch (cause) {
    if ((cause as { code?: string }).code !== "EEXIST" || !existsSync(spec)) throw cause;
  }
}

/** @throws LodestarError `PATH_NOT_FOUND` for a spec that is no file: it could not be kept. */
function oldBytes(spec: string): Uint8Array {
  const bytes = readPlainBytes(spec, Number.POSITIVE_INFINITY);
  if (bytes !== undefined) return bytes;
  throw new LodestarError("PATH_NOT_FOUND", `${spec} is no file that can be kept as a backup`, {
    details: { path: spec },
    hint: "Remove it, then run `lodestar init` again.",
  });
}

/** @returns where the old spec is kept. */
function beginAnew(spec: string, text: string, context: Pick<Context, "random">): string {
  const backup = `${spec}.backup-${randomDigits(context.random, 6)}`;
  createFile(backup, oldBytes(spec));
  try {
    replaceFile(spec, text);
  } catch (cause) {
    // Of a spec that is as it was nobody needs a copy, least of all on a full disk.
    rmSync(backup, { force: true });
    throw cause;
  }
  return backup;
}

function newSpec(name: string, branch: string): string {
  const default_branch = branch === "" || branch === "(detached)" ? "main" : branch;
  return [
    "# The tasks of this project. Edit by hand or with `lodestar task ...`; commit it with the work.",
    "project:",
    `  name: ${JSON.stringify(name)}`,
    `  default_branch: ${JSON.stringify(default_branch)}`,
    "  conventions: {}",
    "tasks: {}",
    "",
  ].join("\n");
}

/** The project's name in an existing spec, for the answer only: the file itself is read by whoever needs it. */
function nameIn(spec: string): string | undefined {
  const value = /^ {2}name:[ \t]*(.+?)[ \t]*$/m.exec(readPlain(spec) ?? "")?.[1];
  return value?.replace(/^(['"])(.*)\1$/, "$2");
}
