/** What each coding agent reads, as its documentation says; docs/guides/setup.md names the pages. */

import type { Entry } from "../repo/json-edit.ts";
import { SERVER } from "../repo/mcp-config.ts";
import type { HOOKED } from "./hook.ts";
import { OPENCODE_PLUGIN } from "./opencode-plugin.ts";
import { file, guide, json, type Part, type Piece, rule, toml } from "./parts.ts";

export const TOOLS = ["claude", "codex", "cursor", "copilot", "gemini", "opencode", "generic"] as const;
export type Tool = (typeof TOOLS)[number];

const CODEX_SERVER = `# lodestar:begin (put here by \`lodestar setup codex\`, taken out with \`--remove\`; seal -)
[mcp_servers.lodestar]
command = "lodestar"
args = ["mcp", "serve"]
# lodestar:end`;
/** Of the block and of the plugins that had no seal. */
const EARLIER_CODEX = ["f3f567deae82"];
const EARLIER_PLUGINS = ["e59a1886b746", "20bdeef75792"];

const server = (key: string, value: unknown = SERVER): Entry => ({ path: [key], key: "lodestar", value });
/** Cursor often starts servers in the person's home; in the place of this word it puts the folder that it has open. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is for Cursor to fill in.
const CURSOR_FOLDER = "${workspaceFolder}";
const CURSOR_SERVER: Piece = {
  ...server("mcpServers", { ...SERVER, args: [...SERVER.args, "--repo", CURSOR_FOLDER] }),
  former: [SERVER],
};

/** A Lodestar that is missing, or too old to know hooks, must not stop a tool: whatever its exit status, the hook's is 0. */
const call = (event: string, tool: (typeof HOOKED)[number]): string => `lodestar hook ${event} --tool ${tool} || true`;

/** @param name what the tool calls the event. */
const hook = (event: string, name: string, value: unknown): Piece => ({
  path: ["hooks", name],
  value,
  runs: new RegExp(`lodestar\\S* hook ${event}\\b`),
});

const claudeHook = (tool: (typeof HOOKED)[number], event: string, name: string, matcher?: string): Piece =>
  hook(event, name, {
    ...(matcher === undefined ? {} : { matcher }),
    hooks: [{ type: "command", command: call(event, tool), timeout: 10 }],
  });
const CLAUDE_HOOKS: readonly Piece[] = [
  claudeHook("claude", "session-start", "SessionStart"),
  claudeHook("claude", "pre-edit", "PreToolUse", "Edit|MultiEdit|Write|NotebookEdit"),
  claudeHook("claude", "post-tool", "PostToolUse", "*"),
  claudeHook("claude", "stop", "Stop"),
];
/** The same form. Codex edits by patches; `Edit` and `Write` are its other names for that. */
const CODEX_HOOKS: readonly Piece[] = [
  claudeHook("codex", "session-start", "SessionStart"),
  claudeHook("codex", "pre-edit", "PreToolUse", "apply_patch|Edit|Write"),
  claudeHook("codex", "post-tool", "PostToolUse"),
  claudeHook("codex", "stop", "Stop"),
];

const copilotHook = (event: string, name: string): Piece =>
  hook(event, name, { type: "command", bash: call(event, "copilot"), timeoutSec: 10 });
const COPILOT_HOOKS: readonly Piece[] = [
  copilotHook("session-start", "sessionStart"),
  copilotHook("pre-edit", "preToolUse"),
  copilotHook("post-tool", "postToolUse"),
  copilotHook("stop", "agentStop"),
];

const geminiHook = (event: string, name: string, matcher: string): Piece =>
  hook(event, name, {
    matcher,
    hooks: [{ name: "lodestar", type: "command", command: call(event, "gemini"), timeout: 10_000 }],
  });
const GEMINI: readonly Piece[] = [
  server("mcpServers"),
  geminiHook("session-start", "SessionStart", "*"),
  geminiHook("pre-edit", "BeforeTool", "write_file|replace"),
  geminiHook("post-tool", "AfterTool", ".*"),
  geminiHook("stop", "AfterAgent", "*"),
];

/** Matchers: of Cursor's tools that write, and as an earlier version had them. */
const CURSOR_EVENTS: readonly (readonly [event: string, name: string, matcher?: string, earlier?: string])[] = [
  ["session-start", "sessionStart"],
  ["pre-edit", "preToolUse", "Write|Edit|StrReplace|Delete|ApplyPatch", "Write|Edit|StrReplace|Delete"],
  ["post-tool", "postToolUse"],
  ["stop", "stop"],
];
/** @param folder where the commands are to run, if that is not where Cursor runs them. */
const cursorHooks = (folder?: string): readonly Piece[] =>
  CURSOR_EVENTS.map(([event, name, matcher, earlier]) => {
    const plain = call(event, "cursor");
    const value = (command: string, only?: string): object => ({
      command,
      ...(only === undefined ? {} : { matcher: only }),
      timeout: 10,
    });
    const command = folder === undefined ? plain : `cd "${folder}" && ${plain}`;
    const former = command === plain && earlier === undefined ? [] : [value(plain, earlier ?? matcher)];
    return { ...hook(event, name, value(command, matcher)), former };
  });
const CURSOR_HOOKS = cursorHooks();
/** A person's own hooks run in `~/.cursor`; the variable is Cursor's. */
const CURSOR_HOOKS_AT_HOME = cursorHooks("$CURSOR_PROJECT_DIR");

const CURSOR_RULE = `---
description: How to work with Lodestar in this repository
alwaysApply: true
---
`;

const OPENCODE = server("mcp", { type: "local", command: [SERVER.command, ...SERVER.args], enabled: true });
const MCP = "the MCP server";
const HOOKS = "the hooks";
const GUIDE = "how to work with Lodestar";

/** What a tool reads in a repository. */
export const IN_REPOSITORY: Readonly<Record<Tool, readonly Part[]>> = {
  claude: [
    json(".mcp.json", MCP, [server("mcpServers")]),
    guide("CLAUDE.md", GUIDE, "claude"),
    json(".claude/settings.json", HOOKS, CLAUDE_HOOKS),
  ],
  codex: [
    toml(".codex/config.toml", MCP, CODEX_SERVER, EARLIER_CODEX),
    guide("AGENTS.md", GUIDE, "codex"),
    json(".codex/hooks.json", HOOKS, CODEX_HOOKS),
  ],
  cursor: [
    json(".cursor/mcp.json", MCP, [CURSOR_SERVER]),
    rule(".cursor/rules/lodestar.mdc", GUIDE, "cursor", CURSOR_RULE),
    json(".cursor/hooks.json", HOOKS, CURSOR_HOOKS, { head: { version: 1 } }),
  ],
  copilot: [
    json(".vscode/mcp.json", `${MCP} for VS Code`, [server("servers")]),
    json(".github/mcp.json", `${MCP} for the command line`, [server("mcpServers")]),
    guide(".github/copilot-instructions.md", GUIDE, "copilot"),
    json(".github/hooks/lodestar.json", HOOKS, COPILOT_HOOKS, { head: { version: 1 } }),
  ],
  gemini: [json(".gemini/settings.json", `${MCP} and ${HOOKS}`, GEMINI), guide("GEMINI.md", GUIDE, "gemini")],
  opencode: [
    json("opencode.json", MCP, [OPENCODE], { instead: "opencode.jsonc" }),
    guide("AGENTS.md", GUIDE, "opencode"),
    file(".opencode/plugins/lodestar.js", HOOKS, OPENCODE_PLUGIN, EARLIER_PLUGINS),
  ],
  generic: [json(".mcp.json", MCP, [server("mcpServers")]), guide("AGENTS.md", GUIDE, "generic")],
};

/** What a tool reads in a person's home, for every repository; none: it has no such files, or their place differs by system. */
export const IN_HOME: Readonly<Partial<Record<Tool, readonly Part[]>>> = {
  claude: [
    json(".claude.json", MCP, [server("mcpServers")]),
    guide(".claude/CLAUDE.md", GUIDE, "claude"),
    json(".claude/settings.json", HOOKS, CLAUDE_HOOKS),
  ],
  codex: [
    toml(".codex/config.toml", MCP, CODEX_SERVER, EARLIER_CODEX),
    guide(".codex/AGENTS.md", GUIDE, "codex"),
    json(".codex/hooks.json", HOOKS, CODEX_HOOKS),
  ],
  copilot: [
    json(".copilot/mcp-config.json", MCP, [server("mcpServers")]),
    guide(".copilot/copilot-instructions.md", GUIDE, "copilot"),
  ],
  cursor: [
    json(".cursor/mcp.json", MCP, [CURSOR_SERVER]),
    json(".cursor/hooks.json", HOOKS, CURSOR_HOOKS_AT_HOME, { head: { version: 1 } }),
  ],
  gemini: [json(".gemini/settings.json", `${MCP} and ${HOOKS}`, GEMINI), guide(".gemini/GEMINI.md", GUIDE, "gemini")],
  opencode: [
    json(".config/opencode/opencode.json", MCP, [OPENCODE], { instead: ".config/opencode/opencode.jsonc" }),
    guide(".config/opencode/AGENTS.md", GUIDE, "opencode"),
    file(".config/opencode/plugins/lodestar.js", HOOKS, OPENCODE_PLUGIN, EARLIER_PLUGINS),
  ],
};
