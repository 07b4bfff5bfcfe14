/** What each coding agent reads, as its documentation says; docs/guides/setup.md names the pages. */

import { append, cut } from "../repo/append.ts";
import { guideSection, hasSection, withoutSection, withSection } from "../repo/guide.ts";
import { type Entry, emptied, fill, isBlank, NotEditable, putIn, standing, takeOut } from "../repo/json-edit.ts";
import { SERVER } from "../repo/mcp-config.ts";
import type { HOOKED } from "./hook.ts";
import { OPENCODE_PLUGIN } from "./opencode-plugin.ts";

export const TOOLS = ["claude", "codex", "cursor", "copilot", "gemini", "opencode", "generic"] as const;
export type Tool = (typeof TOOLS)[number];

/** One file that a tool reads, and what of it is Lodestar's. The functions throw NotEditable. */
export interface Part {
  /** From the repository's root; with `--global` from the person's home. */
  readonly path: string;
  /** Another name under which the tool reads the same file; when that is there, it is meant. */
  readonly instead?: string;
  /** What is there to put in, for people. */
  readonly what: string;
  /** What is missing. */
  missing(text: string | undefined): boolean;
  put(text: string | undefined): string;
  /** `undefined`: the file was made by {@link put}, and goes. */
  take(text: string): string | undefined;
}

interface More extends Pick<Part, "instead"> {
  /** What a file needs besides the entries; one that is there already has it. */
  readonly head?: object;
}

/** @param entries in the order in which they should stand. */
function json(path: string, what: string, entries: readonly Entry[], { head, ...more }: More = {}): Part {
  const document: unknown = { ...head, ...JSON.parse(entries.reduceRight(putIn, "{}")) };
  const whole = `${JSON.stringify(document, null, 2)}\n`;
  return {
    path,
    what,
    ...more,
    missing: (text) => text === undefined || entries.some((entry) => standing(text, entry) === undefined),
    put: (text) => {
      if (text === undefined) return whole;
      // Each goes in before those that are there: the last first.
      return isBlank(text) ? fill(text, document) : entries.reduceRight(putIn, text);
    },
    take: (text) => (text === whole ? undefined : (emptied(text, document) ?? entries.reduce(takeOut, text))),
  };
}

function guide(path: string, tool: Tool): Part {
  const mark = `put here by \`lodestar setup ${tool}\`, taken out with \`--remove\`; write outside these markers`;
  const own = (text: string): boolean => text.includes(`(${mark})`);
  return {
    path,
    what: "how to work with Lodestar",
    missing: (text) => text === undefined || !hasSection(text),
    // A section that `lodestar init` or another tool's setup has put is as good.
    put: (text) =>
      text !== undefined && hasSection(text) && !own(text) ? text : withSection(text, guideSection(mark)),
    take: (text) => withoutSection(text, mark),
  };
}

const TOML = `# lodestar:begin (put here by \`lodestar setup codex\`, taken out with \`--remove\`)
[mcp_servers.lodestar]
command = "lodestar"
args = ["mcp", "serve"]
# lodestar:end`;
const TOML_MARKED = /# lodestar:begin \(put here[^\n]*\n[\s\S]*?# lodestar:end/;

function hasTomlServer(text: string): boolean {
  let read: unknown;
  try {
    read = Bun.TOML.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new NotEditable(cause instanceof Error ? cause.message : String(cause));
  }
  const { mcp_servers } = read as { readonly mcp_servers?: unknown };
  return typeof mcp_servers === "object" && mcp_servers !== null && "lodestar" in mcp_servers;
}

function toml(path: string): Part {
  return {
    path,
    what: "the MCP server",
    missing: (text) => text === undefined || !hasTomlServer(text),
    put: (text) => {
      if (text !== undefined && hasTomlServer(text)) return text;
      const after = append(text, TOML);
      if (!hasTomlServer(after)) throw new NotEditable("its mcp_servers cannot be extended at the end of the file");
      return after;
    },
    take: (text) => {
      const written = TOML_MARKED.exec(text)?.[0];
      return written === undefined ? text : cut(text, written);
    },
  };
}

/** A file that is Lodestar's alone. Somebody may have made it their own: then it stays. */
const whole = (path: string, what: string, content: string): Part => ({
  path,
  what,
  missing: (text) => text === undefined,
  put: (text) => text ?? content,
  take: (text) => (text === content ? undefined : text),
});

const server = (key: string, value: unknown = SERVER): Entry => ({ path: [key], key: "lodestar", value });

/** A Lodestar that is missing, or too old to know hooks, must not stop a tool: whatever its exit status, the hook's is 0. */
const call = (event: string, tool: (typeof HOOKED)[number]): string => `lodestar hook ${event} --tool ${tool} || true`;

const claudeHook = (tool: (typeof HOOKED)[number], event: string, name: string, matcher?: string): Entry => ({
  path: ["hooks", name],
  value: {
    ...(matcher === undefined ? {} : { matcher }),
    hooks: [{ type: "command", command: call(event, tool), timeout: 10 }],
  },
});
const CLAUDE_HOOKS: readonly Entry[] = [
  claudeHook("claude", "session-start", "SessionStart"),
  claudeHook("claude", "pre-edit", "PreToolUse", "Edit|MultiEdit|Write|NotebookEdit"),
  claudeHook("claude", "post-tool", "PostToolUse", "*"),
  claudeHook("claude", "stop", "Stop"),
];
/** The same form. Codex edits by patches; `Edit` and `Write` are its other names for that. */
const CODEX_HOOKS: readonly Entry[] = [
  claudeHook("codex", "session-start", "SessionStart"),
  claudeHook("codex", "pre-edit", "PreToolUse", "apply_patch|Edit|Write"),
  claudeHook("codex", "post-tool", "PostToolUse"),
  claudeHook("codex", "stop", "Stop"),
];
const COPILOT_HOOKS: readonly Entry[] = [
  ["session-start", "sessionStart"],
  ["pre-edit", "preToolUse"],
  ["post-tool", "postToolUse"],
  ["stop", "agentStop"],
].map(([event = "", name = ""]) => ({
  path: ["hooks", name],
  value: { type: "command", bash: call(event, "copilot"), timeoutSec: 10 },
}));

const geminiHook = (event: string, name: string, matcher: string): Entry => ({
  path: ["hooks", name],
  value: { matcher, hooks: [{ name: "lodestar", type: "command", command: call(event, "gemini"), timeout: 10_000 }] },
});
const GEMINI: readonly Entry[] = [
  server("mcpServers"),
  geminiHook("session-start", "SessionStart", "*"),
  geminiHook("pre-edit", "BeforeTool", "write_file|replace"),
  geminiHook("post-tool", "AfterTool", ".*"),
  geminiHook("stop", "AfterAgent", "*"),
];

const cursorHook = (event: string, name: string, matcher?: string): Entry => ({
  path: ["hooks", name],
  value: { command: call(event, "cursor"), ...(matcher === undefined ? {} : { matcher }), timeout: 10 },
});
const CURSOR_HOOKS: readonly Entry[] = [
  cursorHook("session-start", "sessionStart"),
  cursorHook("pre-edit", "preToolUse", "Write|Edit|StrReplace|Delete"),
  cursorHook("post-tool", "postToolUse"),
  cursorHook("stop", "stop"),
];

const CURSOR_RULE = `---
description: How to work with Lodestar in this repository
alwaysApply: true
---
${guideSection("put here by `lodestar setup cursor`, taken out with `--remove`")}
`;

const OPENCODE = server("mcp", { type: "local", command: [SERVER.command, ...SERVER.args], enabled: true });
const MCP = "the MCP server";
const HOOKS = "the hooks";

/** What a tool reads in a repository. */
export const IN_REPOSITORY: Readonly<Record<Tool, readonly Part[]>> = {
  claude: [
    json(".mcp.json", MCP, [server("mcpServers")]),
    guide("CLAUDE.md", "claude"),
    json(".claude/settings.json", HOOKS, CLAUDE_HOOKS),
  ],
  codex: [toml(".codex/config.toml"), guide("AGENTS.md", "codex"), json(".codex/hooks.json", HOOKS, CODEX_HOOKS)],
  cursor: [
    json(".cursor/mcp.json", MCP, [server("mcpServers")]),
    whole(".cursor/rules/lodestar.mdc", "how to work with Lodestar", CURSOR_RULE),
    json(".cursor/hooks.json", HOOKS, CURSOR_HOOKS, { head: { version: 1 } }),
  ],
  copilot: [
    json(".vscode/mcp.json", `${MCP} for VS Code`, [server("servers")]),
    json(".github/mcp.json", `${MCP} for the command line`, [server("mcpServers")]),
    guide(".github/copilot-instructions.md", "copilot"),
    json(".github/hooks/lodestar.json", HOOKS, COPILOT_HOOKS, { head: { version: 1 } }),
  ],
  gemini: [json(".gemini/settings.json", `${MCP} and ${HOOKS}`, GEMINI), guide("GEMINI.md", "gemini")],
  opencode: [
    json("opencode.json", MCP, [OPENCODE], { instead: "opencode.jsonc" }),
    guide("AGENTS.md", "opencode"),
    whole(".opencode/plugins/lodestar.js", HOOKS, OPENCODE_PLUGIN),
  ],
  generic: [json(".mcp.json", MCP, [server("mcpServers")]), guide("AGENTS.md", "generic")],
};

/** What a tool reads in a person's home, for every repository; none: it has no such files, or their place differs by system. */
export const IN_HOME: Readonly<Partial<Record<Tool, readonly Part[]>>> = {
  claude: [
    json(".claude.json", MCP, [server("mcpServers")]),
    guide(".claude/CLAUDE.md", "claude"),
    json(".claude/settings.json", HOOKS, CLAUDE_HOOKS),
  ],
  codex: [
    toml(".codex/config.toml"),
    guide(".codex/AGENTS.md", "codex"),
    json(".codex/hooks.json", HOOKS, CODEX_HOOKS),
  ],
  copilot: [
    json(".copilot/mcp-config.json", MCP, [server("mcpServers")]),
    guide(".copilot/copilot-instructions.md", "copilot"),
  ],
  cursor: [
    json(".cursor/mcp.json", MCP, [server("mcpServers")]),
    json(".cursor/hooks.json", HOOKS, CURSOR_HOOKS, { head: { version: 1 } }),
  ],
  gemini: [json(".gemini/settings.json", `${MCP} and ${HOOKS}`, GEMINI), guide(".gemini/GEMINI.md", "gemini")],
  opencode: [
    json(".config/opencode/opencode.json", MCP, [OPENCODE], { instead: ".config/opencode/opencode.jsonc" }),
    guide(".config/opencode/AGENTS.md", "opencode"),
    whole(".config/opencode/plugins/lodestar.js", HOOKS, OPENCODE_PLUGIN),
  ],
};
