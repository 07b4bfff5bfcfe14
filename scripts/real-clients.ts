/**
 * Tries the compiled program with programs of others, from npm, pinned, in a scratch folder: MCP's Inspector and conformance suite, and
 * the coding agents that `lodestar setup` writes for, at work with a stand-in for their model. Needs npm and its registry for the first
 * run, and no account.
 *
 *   bun run test:clients                        all of them
 *   bun run test:clients --scratch DIR          keeps what is installed, for the next run
 *   bun run test:clients --only inspector,claude
 *
 * Prints a table. Exit status 1 when something that should work does not.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { build } from "../build.ts";
import { type Plan, standInModel } from "./stand-in-model.ts";

const PINS = {
  inspector: "@modelcontextprotocol/inspector@2.12.0",
  conformance: "@modelcontextprotocol/conformance@0.1.16",
  claude: "@anthropic-ai/claude-code@2.1.332",
  codex: "@openai/codex@0.171.0",
  copilot: "@github/copilot@1.0.102",
  gemini: "@google/gemini-cli@0.61.0",
  opencode: "opencode-ai@1.18.33",
  powershell: "tree-sitter-powershell@0.26.4",
} as const;
/** What one of them does not bring with it. */
const BESIDES: Readonly<Partial<Record<Name, string>>> = { powershell: "web-tree-sitter@0.27.2" };
type Name = keyof typeof PINS;

/** What the suite asks of any server. Its other scenarios call tools, prompts and resources of its own example server. */
const SCENARIOS = [
  "server-initialize",
  "ping",
  "tools-list",
  "resources-list",
  "prompts-list",
  "server-sse-multiple-streams",
  "dns-rebinding-protection",
];

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const kept = option("scratch");
const scratch = kept ?? mkdtempSync(join(tmpdir(), "mcp-clients-"));
const only = option("only")?.split(",");
const program = build();
const bin = join(scratch, "bin");
const home = join(scratch, "home");
for (const folder of [bin, home]) mkdirSync(folder, { recursive: true });
rmSync(join(bin, "lodestar"), { force: true });
symlinkSync(program, join(bin, "lodestar"));

interface Ran {
  readonly exit: number | null;
  readonly said: string;
}
const place = (): Record<string, string> => {
  const path = [bin, dirname(Bun.which("node") ?? process.execPath), "/usr/local/bin", "/usr/bin", "/bin"];
  return { PATH: path.join(delimiter), HOME: home, NO_COLOR: "1", TERM: "dumb" };
};
function run(argv: readonly string[], cwd: string): Ran {
  const ran = Bun.spawnSync([...argv], {
    cwd,
    env: place(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 120_000,
  });
  return { exit: ran.exitCode, said: `${ran.stdout}${ran.stderr}` };
}

function repository(): string {
  const path = mkdtempSync(join(scratch, "repo-"));
  run(["git", "init", "-q"], path);
  run(["lodestar", "init", "--no-agents-md"], path);
  run(["lodestar", "task", "create", "--id", "A", "--title", "Log in"], path);
  return path;
}

const rows: (readonly [client: string, what: string, result: string])[] = [];
let failed = false;
function tell(client: Name, what: string, isGood: boolean, said = ""): void {
  failed ||= !isGood;
  rows.push([PINS[client], what, isGood ? "works" : `FAILED: ${said.trim().slice(-300)}`]);
}

async function server(path: string, options: readonly string[] = []) {
  const child = Bun.spawn([program, "mcp", "serve", "--transport", "streamable-http", "--port", "0", ...options], {
    cwd: path,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const reader = child.stderr.getReader();
  let said = "";
  while (!said.includes("\n")) said += new TextDecoder().decode((await reader.read()).value);
  reader.releaseLock();
  return { child, url: /http:\/\/\S+\/mcp/.exec(said)?.[0] ?? "" };
}

async function inspector(bins: string): Promise<void> {
  const path = repository();
  writeFileSync(join(path, "token"), "a-token-of-the-inspector\n");
  const http = await server(path, ["--token-file", "token"]);
  const ways: Record<string, readonly string[]> = {
    stdio: [program, "mcp", "serve"],
    HTTP: [http.url, "--transport", "http", "--header", "Authorization: Bearer a-token-of-the-inspector"],
  };
  const calls: readonly (readonly [words: readonly string[], expected: string])[] = [
    [["--method", "tools/list"], '"task_next"'],
    [["--method", "tools/call", "--tool-name", "task_show", "--tool-arg", "task_id=A"], '"title": "Log in"'],
    [["--method", "tools/call", "--tool-name", "task_show", "--tool-arg", "task_id=NONE"], '"TASK_NOT_FOUND"'],
    [["--method", "resources/list"], '"lodestar://spec"'],
    [["--method", "resources/templates/list"], "lodestar://prd/{source}/{anchor}"],
    [["--method", "resources/read", "--uri", "lodestar://task/A"], "Log in"],
    [["--method", "prompts/list"], '"review"'],
    [["--method", "prompts/get", "--prompt-name", "work", "--prompt-args", "task_id=A"], "Lodestar task A"],
  ];
  for (const [way, target] of Object.entries(ways)) {
    for (const [words, expected] of calls) {
      const { said } = run([process.execPath, join(bins, "mcp-inspector"), "--cli", ...target, ...words], path);
      tell("inspector", `${words.join(" ")} over ${way}`, said.includes(expected), said);
    }
  }
  const stranger = [http.url, "--transport", "http", "--method", "tools/list"];
  const { said } = run([process.execPath, join(bins, "mcp-inspector"), "--cli", ...stranger], path);
  tell("inspector", "is refused without the token", !said.includes("task_next"), said);
  http.child.kill();
}

async function conformance(bins: string): Promise<void> {
  const path = repository();
  const http = await server(path);
  for (const scenario of SCENARIOS) {
    const line = [process.execPath, join(bins, "conformance"), "server", "--url", http.url, "--scenario", scenario];
    const { exit, said } = run(line, path);
    tell("conformance", scenario, exit === 0, said);
  }
  http.child.kill();
}

/** Asks a coding agent which servers it knows, in a repository that was set up for it and that it trusts. */
function agent(name: keyof typeof AT_WORK, trust: (path: string) => void) {
  return async (bins: string): Promise<void> => {
    const path = repository();
    const before = run([join(bins, name), "mcp", "list"], path).said;
    tell(name, "mcp list knows nothing of it before", !before.includes("lodestar mcp serve"), before);
    const { said: setUp } = run(["lodestar", "setup", name], path);
    trust(path);
    const { exit, said } = run([join(bins, name), "mcp", "list"], path);
    const isThere = exit === 0 && /\blodestar\b/.test(said);
    tell(name, "mcp list has the server that setup wrote", isThere, setUp + said);
    // opencode starts what it lists; the others wait for a person's consent.
    if (name === "opencode") tell(name, "mcp list is connected to it", said.includes("connected"), said);
    run(["lodestar", "setup", name, "--remove"], path);
    const after = run([join(bins, name), "mcp", "list"], path).said;
    tell(
      name,
      "mcp list knows nothing of it after --remove",
      !/\blodestar mcp serve|lodestar \(local/.test(after),
      after,
    );
    await atWork(name, bins);
  };
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
const trustIn = (file: string, make: (path: string) => string) => (path: string) => write(join(home, file), make(path));

/** No PowerShell is on npm, but a grammar of it is: the completions are a script without an error, and a broken one would be seen. */
async function powershell(bins: string): Promise<void> {
  const modules = dirname(bins);
  const { Parser, Language } = await import(join(modules, "web-tree-sitter", "web-tree-sitter.js"));
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(join(modules, "tree-sitter-powershell", "tree-sitter-powershell.wasm")));
  const isWhole = (text: string): boolean => !parser.parse(text).rootNode.hasError;
  const { said } = run(["lodestar", "completions", "powershell"], scratch);
  tell("powershell", "the grammar takes the script of the completions", isWhole(said), said);
  tell("powershell", "and not one that lacks a bracket", !isWhole(said.replace("}", "")), said);
}

const PROMPT = "Do as planned.";
const SUB_PROMPT = "Do what was left to you.";

/** What a coding agent is started with to do as its model says, which is at `url`. */
interface AtWork {
  readonly line: readonly string[];
  readonly env: (url: string) => Record<string, string>;
  readonly config?: (path: string, url: string) => readonly [file: string, text: string];
  /** How its model has a subagent begin; none: the tool offers none to it. */
  readonly subagent?: { readonly tool: string; readonly given: Readonly<Record<string, string>> };
  /** It has no hook for the end of a turn. */
  readonly stopsUnasked?: true;
}
const AT_WORK: Readonly<Record<"claude" | "codex" | "copilot" | "gemini" | "opencode", AtWork>> = {
  claude: {
    line: ["-p", PROMPT, "--permission-mode", "acceptEdits", "--allowedTools", "mcp__lodestar"],
    env: (url) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "none",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      // Else the model is told the names of a server's tools alone, and has to ask for the rest.
      ENABLE_TOOL_SEARCH: "false",
    }),
    subagent: {
      tool: "Agent",
      given: { description: "part", prompt: SUB_PROMPT, subagent_type: "general-purpose" },
    },
  },
  codex: {
    // Its hooks are run once a person has looked at them; here that is the repository made above.
    line: ["exec", "--dangerously-bypass-hook-trust", "--sandbox", "workspace-write", PROMPT],
    env: () => ({ STAND_IN_KEY: "none" }),
    config: (path, url) => [
      ".codex/config.toml",
      `model = "gpt-5.5"
model_provider = "stand_in"
[model_providers.stand_in]
name = "stand-in"
base_url = "${url}/v1"
wire_api = "responses"
env_key = "STAND_IN_KEY"
[projects.${JSON.stringify(path)}]
trust_level = "trusted"
`,
    ],
  },
  copilot: {
    line: ["-p", PROMPT, "--allow-all-tools"],
    env: (url) => ({
      COPILOT_PROVIDER_BASE_URL: `${url}/v1`,
      COPILOT_PROVIDER_TYPE: "openai",
      COPILOT_PROVIDER_API_KEY: "none",
      COPILOT_MODEL: "m",
      COPILOT_OFFLINE: "true",
    }),
    config: (path) => [".copilot/config.json", JSON.stringify({ trustedFolders: [path] })],
    subagent: {
      tool: "task",
      given: { name: "part", description: "part", prompt: SUB_PROMPT, agent_type: "general-purpose" },
    },
  },
  gemini: {
    // Any model that it does not choose by asking another one first.
    line: ["-p", PROMPT, "--yolo", "--model", "gemini-3.1-pro-preview"],
    env: (url) => ({ GOOGLE_GEMINI_BASE_URL: url, GEMINI_API_KEY: "none", GEMINI_CLI_TRUST_WORKSPACE: "true" }),
    // With a base URL alone it looks for a login of another kind, which it then does not know.
    config: () => [".gemini/settings.json", JSON.stringify({ security: { auth: { selectedType: "gemini-api-key" } } })],
    subagent: { tool: "invoke_agent", given: { agent_name: "generalist", prompt: SUB_PROMPT } },
  },
  opencode: {
    line: ["run", "--model", "stand_in/m", PROMPT],
    env: () => ({}),
    config: (_path, url) => [
      ".config/opencode/opencode.json",
      JSON.stringify({
        provider: {
          stand_in: {
            npm: "@ai-sdk/openai-compatible",
            name: "stand-in",
            options: { baseURL: `${url}/v1`, apiKey: "none" },
            models: { m: { name: "m" } },
          },
        },
      }),
    ],
    subagent: { tool: "task", given: { description: "part", prompt: SUB_PROMPT, subagent_type: "general" } },
    stopsUnasked: true,
  },
};

const idIn = (heard: string): string | undefined => /You are (A\w{8})\b/.exec(heard)?.[1];

/** A subagent is told what it is to do, not what was said before. */
const isOfSubagent = (heard: string): boolean => heard.includes(SUB_PROMPT) && !heard.includes(PROMPT);

/**
 * What the model does: it has a subagent edit inside another agent's locks, does so itself, joins, takes a task, edits inside its own, means to stop while it holds the
 * task, and finishes it. What it needs to know it has from what it was told.
 */
function planOf(locked: string, free: string, { subagent, stopsUnasked }: AtWork): Plan {
  return (answers, heard) => {
    if (isOfSubagent(heard)) return answers === 0 ? { write: locked } : undefined;
    const agent_id = idIn(heard);
    const [, token] = /fencing_token\W+(\d+)/.exec(heard) ?? [];
    const finish = { tool: "task_done", given: { agent_id, task_id: "B", fencing_token: Number(token) } };
    const isTold = stopsUnasked === true || heard.includes("You still hold B");
    const steps = [
      ...(subagent === undefined ? [] : [subagent]),
      { write: locked },
      { tool: "agent_join", given: { agent_id } },
      { tool: "task_next", given: { agent_id, claim: true } },
      { write: free },
      isTold ? finish : undefined,
    ];
    return steps[answers];
  };
}

/** Has the agent work beside another one that holds task A: it hears who it is, is kept out of the other's files, and does task B. */
async function atWork(name: keyof typeof AT_WORK, bins: string): Promise<void> {
  const path = repository();
  run(["lodestar", "task", "update", "A", "--add-lock", "src/auth/**"], path);
  run(["lodestar", "task", "create", "--id", "B", "--title", "Search", "--lock", "src/search/**"], path);
  run(["lodestar", "agent", "join", "--id", "BEN"], path);
  run(["lodestar", "task", "claim", "A", "--agent", "BEN"], path);
  run(["lodestar", "setup", name], path);
  const locked = join(path, "src", "auth", "x.ts");
  const free = join(path, "src", "search", "x.ts");
  for (const file of [locked, free]) mkdirSync(dirname(file), { recursive: true });
  const { line, env, config, subagent, stopsUnasked }: AtWork = AT_WORK[name];
  const model = standInModel(planOf(locked, free, AT_WORK[name]));
  if (config !== undefined) {
    const [where, text] = config(path, model.url);
    write(join(home, where), text);
  }
  const child = Bun.spawn([join(bins, name), ...line], {
    cwd: path,
    env: { ...place(), ...env(model.url) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // opencode first fetches what plugins are written with, and waits for it.
    timeout: 300_000,
  });
  const said = `${await new Response(child.stdout).text()}${await new Response(child.stderr).text()}`;
  await child.exited;
  model.stop();
  const requests = model.heard();
  const ofSubagent = requests.filter(isOfSubagent).join();
  const heard = requests.filter((request) => !isOfSubagent(request)).join();
  const id = idIn(heard);
  const { data } = JSON.parse(run(["lodestar", "task", "show", "B", "--json"], path).said);
  const { data: known } = JSON.parse(run(["lodestar", "agent", "list", "--json"], path).said);
  const seen: readonly (readonly [what: string, isSo: boolean])[] = [
    ["the session's brief reaches the model", id !== undefined],
    ["the instructions reach the model", heard.includes("## Working with Lodestar")],
    [
      "an edit inside another agent's locks is refused, and the model hears why",
      heard.includes("held by BEN") && !existsSync(locked),
    ],
    ...(subagent === undefined ? [] : [["so is a subagent's", ofSubagent.includes("held by BEN")] as const]),
    ["an edit inside its own locks is made", existsSync(free)],
    ["it takes a task and finishes it over MCP", data.status === "done" && data.completed_by === id],
    ["over MCP it is who the hooks say it is, and nobody else", known.count === 2],
    ...(stopsUnasked === true
      ? []
      : [["who stops while holding a task is reminded", heard.includes("You still hold B")] as const]),
  ];
  for (const [what, isSo] of seen) tell(name, `at work: ${what}`, isSo, said);
}

const CHECKS: Readonly<Record<Name, (bins: string) => Promise<void>>> = {
  inspector,
  conformance,
  claude: agent("claude", () => {}),
  codex: agent(
    "codex",
    trustIn(".codex/config.toml", (path) => `[projects.${JSON.stringify(path)}]\ntrust_level = "trusted"\n`),
  ),
  copilot: agent(
    "copilot",
    trustIn(".copilot/config.json", (path) => JSON.stringify({ trustedFolders: [path] })),
  ),
  gemini: agent("gemini", () => {}),
  opencode: agent("opencode", () => {}),
  powershell,
};

for (const [name, check] of Object.entries(CHECKS) as [Name, (bins: string) => Promise<void>][]) {
  if (only !== undefined && !only.includes(name)) continue;
  const folder = join(scratch, name);
  const [, version] = /@([^@]+)$/.exec(PINS[name]) ?? [];
  const manifest = join(folder, "node_modules", PINS[name].slice(0, -`@${version}`.length), "package.json");
  if (!existsSync(manifest) || JSON.parse(readFileSync(manifest, "utf8")).version !== version) {
    write(join(folder, "package.json"), '{"private":true}');
    const installed = Bun.spawnSync(
      [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        PINS[name],
        ...(BESIDES[name] === undefined ? [] : [BESIDES[name]]),
      ],
      { cwd: folder },
    );
    if (installed.exitCode !== 0) {
      tell(name, "npm install", false, String(installed.stderr));
      continue;
    }
  }
  await check(join(folder, "node_modules", ".bin"));
}
for (const [client, what, result] of rows) console.log(`${client.padEnd(42)} ${what.padEnd(84)} ${result}`);
if (kept === undefined) rmSync(scratch, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
