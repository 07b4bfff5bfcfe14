/** `lodestar setup`: what it puts into files it takes out again, byte for byte, whatever they looked like; all of them or none. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { NotEditable } from "../../src/commands/repo/json-edit.ts";
import { guide, json, type Part, type Piece, toml } from "../../src/commands/setup/parts.ts";
import { IN_HOME, IN_REPOSITORY, TOOLS, type Tool } from "../../src/commands/setup/tools.ts";
import writtenBefore from "../fixtures/setup/written-before.json";
import { type Fleet, fleet } from "../support/fleet.ts";

const bytes = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path).toString("latin1") : undefined;

/** Every file below a folder, but Git's and Lodestar's own. */
function tree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(root, { recursive: true }) as string[]) {
    if (/^\.(?:git|lodestar)(?:\/|$)/.test(name)) continue;
    const path = join(root, name);
    found[name] = statSync(path).isDirectory() ? "folder" : (bytes(path) ?? "");
  }
  return found;
}

test.each(TOOLS)("%s: setup writes, --check agrees, twice is once, --remove leaves what was there", async (tool) => {
  using here = await fleet();
  const before = tree(here.path);
  const missing = await here.refused("UNHEALTHY", `setup ${tool} --check`);
  expect(missing.details.missing.length).toBeGreaterThan(0);
  const printed = await here.ok(`setup ${tool} --print`);
  expect(tree(here.path)).toEqual(before);
  const { changed } = await here.ok(`setup ${tool}`);
  expect(changed.length).toBeGreaterThan(0);
  for (const { path, text } of printed.files)
    expect(bytes(join(here.path, path))).toBe(Buffer.from(text).toString("latin1"));
  const after = tree(here.path);
  expect((await here.ok(`setup ${tool} --check`)).complete).toBe(true);
  expect((await here.ok(`setup ${tool}`)).changed).toEqual([]);
  expect(tree(here.path)).toEqual(after);
  await here.ok(`setup ${tool} --remove`);
  expect(tree(here.path)).toEqual(before);
  expect((await here.ok(`setup ${tool} --remove`)).changed).toEqual([]);
});

const JSONS = [
  "{}",
  "",
  "\n",
  " {\n\t}\r\n",
  '{"mcpServers":{},"servers":{},"mcp":{},"hooks":{}}',
  '\uFEFF{\r\n\t"theme": "dark", // mine\r\n\t"hooks": {\r\n\t\t"Stop": [{"hooks": []},],\r\n\t},\r\n}',
  '{\n    "hooks": {"PreToolUse": [\n  ], "BeforeTool" : [ 1 ],"preToolUse":[{"command":"x"}]},\n "mcpServers": { "other": {"command":"x"} } }',
  '// top\n{ /* { */ "version": 1, "mcpServers": {"lodestar": {"command": "/opt/mine"}} } // end',
];
const TEXTS = ["", "# Mine", "# Mine\n", "# Mine\r\n\r\nText", "# Mine\r\n", "\uFEFFé\n\n\n", "a\rb", "\n", "\r\n"];
const TOMLS = [
  "",
  "# only this",
  'model = "x"\r\n',
  "[a]\nb = 1",
  "\uFEFFa = 1\n",
  "[mcp_servers.other]\ncommand = 'x' # y\n\n\n",
  "\n",
];
const oddOnes = (path: string): readonly string[] =>
  /jsonc?$/.test(path) ? JSONS : path.endsWith(".toml") ? TOMLS : TEXTS;

test.each(TOOLS)(
  "%s: files of odd formatting come back byte for byte",
  async (tool) => {
    for (let i = 0; i < 9; i++) {
      using here = await fleet({ init: false });
      for (const { path } of IN_REPOSITORY[tool]) {
        const odd = oddOnes(path);
        here.write(path, odd[i % odd.length] as string);
        chmodSync(join(here.path, path), 0o640);
      }
      const before = tree(here.path);
      await here.ok(`setup ${tool}`);
      expect((await here.ok(`setup ${tool} --check`)).complete).toBe(true);
      const after = tree(here.path);
      await here.ok(`setup ${tool}`);
      expect(tree(here.path)).toEqual(after);
      for (const { path } of IN_REPOSITORY[tool]) expect(statSync(join(here.path, path)).mode & 0o777).toBe(0o640);
      await here.ok(`setup ${tool} --remove`);
      expect(tree(here.path)).toEqual(before);
    }
  },
  60_000,
);

const line = fc.constantFrom("# Title", "text", "", "  - list", "`<!-- x -->`", "lodestar", "é\u2028", "\t");
const texts = fc
  .tuple(
    fc.constantFrom("", "\uFEFF"),
    fc.array(fc.tuple(line, fc.constantFrom("\n", "\n", "\r\n", "\r")), { maxLength: 6 }),
    line,
  )
  .map(([mark, lines, last]) => mark + lines.map(([text, eol]) => text + eol).join("") + last);
const tomlLine = fc.constantFrom(
  "# c",
  "",
  "a.b = 1",
  "[t]",
  "[[l]]",
  "[mcp_servers.x]",
  "k = 'v' # lodestar:end",
  "\t",
  's = """\n[no]\n"""',
);
const tomls = fc
  .tuple(fc.uniqueArray(tomlLine), fc.constantFrom("\n", "\r\n"), fc.boolean())
  .map(([lines, eol, ended]) => lines.join(eol) + (ended ? eol : ""));

const PARTS: readonly Part[] = [...Object.values(IN_REPOSITORY), ...Object.values(IN_HOME)].flat();

test("whatever a text or TOML file holds, taking out is the inverse of putting in", () => {
  let edited = 0;
  for (const part of PARTS.filter(({ path }) => !/jsonc?$/.test(path))) {
    const held = part.path.endsWith(".toml") ? tomls : texts;
    fc.assert(
      fc.property(fc.option(held, { nil: undefined, freq: 20 }), (before) => {
        let after: string;
        try {
          after = part.put(before);
        } catch (cause) {
          if (cause instanceof NotEditable) return;
          throw cause;
        }
        if (after === before) return;
        edited += 1;
        expect(part.state(after)).not.toBe("missing");
        expect(part.put(after)).toBe(after);
        expect(part.take(after)).toBe(before as string);
      }),
      { numRuns: 300 },
    );
  }
  expect(edited).toBeGreaterThan(1000);
});

test("the section that init has put is enough, and stays when a tool's setup is taken out", async () => {
  using here = await fleet();
  await here.ok("init");
  const before = bytes(join(here.path, "AGENTS.md"));
  expect(before).toContain("lodestar:begin");
  await here.ok("setup codex");
  expect(bytes(join(here.path, "AGENTS.md"))).toBe(before);
  await here.ok("setup codex --remove");
  expect(bytes(join(here.path, "AGENTS.md"))).toBe(before);
});

test("what was written after setup stays when it is taken out, and so does a rule that somebody made their own", async () => {
  using here = await fleet();
  await here.ok("setup claude");
  const path = join(here.path, "CLAUDE.md");
  writeFileSync(path, `# Before\n\n${readFileSync(path, "utf8")}\n# After\n`);
  const settings = join(here.path, ".claude", "settings.json");
  const parsed = JSON.parse(readFileSync(settings, "utf8"));
  parsed.hooks.Stop.push({ hooks: [{ type: "command", command: "mine" }] });
  writeFileSync(settings, JSON.stringify({ model: "x", ...parsed }));
  await here.ok("setup claude --remove");
  expect(readFileSync(path, "utf8")).toBe("# Before\n\n\n# After\n");
  const left = JSON.parse(readFileSync(settings, "utf8"));
  expect([left.model, left.hooks.Stop]).toEqual(["x", [{ hooks: [{ type: "command", command: "mine" }] }]]);
  expect(JSON.stringify(left)).not.toContain("lodestar");
  await here.ok("setup cursor");
  const rule = join(here.path, ".cursor/rules/lodestar.mdc");
  writeFileSync(rule, `${readFileSync(rule, "utf8")}mine\n`);
  await here.ok("setup cursor --remove");
  expect(readFileSync(rule, "utf8")).toEndWith("mine\n");
});

test.each([
  [".claude", (here: Fleet) => symlinkSync("../home", join(here.path, ".claude"))],
  ["CLAUDE.md", (here: Fleet) => symlinkSync("/etc/hostname", join(here.path, "CLAUDE.md"))],
  ["a link to nothing", (here: Fleet) => symlinkSync("../nothing", join(here.path, "CLAUDE.md"))],
  ["a file where a folder is needed", (here: Fleet) => writeFileSync(join(here.path, ".claude"), "mine")],
  ["a folder in its place", (here: Fleet) => mkdirSync(join(here.path, "CLAUDE.md"))],
  [
    "bytes that are no text",
    (here: Fleet) => writeFileSync(join(here.path, "CLAUDE.md"), new Uint8Array([0xff, 0xfe, 0x41])),
  ],
])("nothing is written when one file leads away or cannot be read: %s", async (_what, make) => {
  using here = await fleet();
  make(here);
  const before = readdirSync(here.base, { recursive: true }).sort();
  await here.refused("PATH_NOT_FOUND", "setup claude");
  expect(readdirSync(here.base, { recursive: true }).sort()).toEqual(before);
});

test("a folder deep below a link that leads away is not made there", async () => {
  using here = await fleet();
  const away = join(here.base, "away");
  mkdirSync(away);
  symlinkSync(away, join(here.path, ".cursor"));
  await here.refused("PATH_NOT_FOUND", "setup cursor");
  expect(readdirSync(away)).toEqual([]);
});

test("a link inside the repository is followed, not replaced", async () => {
  using here = await fleet();
  here.write("docs/agents.md", "# Docs");
  symlinkSync("docs/agents.md", join(here.path, "CLAUDE.md"));
  await here.ok("setup claude");
  expect(readFileSync(join(here.path, "docs/agents.md"), "utf8")).toContain("lodestar:begin");
  await here.ok("setup claude --remove");
  expect(readFileSync(join(here.path, "docs/agents.md"), "utf8")).toBe("# Docs");
  expect(readdirSync(join(here.path, "docs"))).toEqual(["agents.md"]);
});

test.each(['{"mcpServers": 7}', "{", '{"mcpServers": {}, "mcpServers": {}}'])(
  "JSON that cannot be extended is refused, and no file is written: %s",
  async (text) => {
    using here = await fleet();
    here.write(".mcp.json", text);
    const before = tree(here.path);
    const error = await here.refused("USAGE", "setup claude");
    expect(error.message).toContain("nothing was written");
    expect(tree(here.path)).toEqual(before);
  },
);

test("TOML that cannot be extended at its end is refused", async () => {
  using here = await fleet();
  here.write(".codex/config.toml", "mcp_servers = { other = { command = 'x' } }\n");
  const before = tree(here.path);
  await here.refused("USAGE", "setup codex");
  expect(tree(here.path)).toEqual(before);
});

test("when the second file cannot be written the first is as it was", async () => {
  using here = await fleet();
  const { writeTogether } = await import("../../src/commands/setup/write-files.ts");
  const [first, second] = [join(here.path, "one"), join(here.path, "two")];
  writeFileSync(first, "before");
  mkdirSync(join(second, "full"), { recursive: true });
  const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };
  const before = tree(here.path);
  const rewrites = [
    { path: first, before: "before", after: "after" },
    { path: second, before: undefined, after: "after" },
  ];
  expect(() => writeTogether(rewrites, random)).toThrow();
  expect(tree(here.path)).toEqual(before);
});

test("a file that somebody has changed since it was read is not overwritten, and those before it are put back", async () => {
  using here = await fleet();
  const { writeTogether } = await import("../../src/commands/setup/write-files.ts");
  const [first, second] = [join(here.path, "one"), join(here.path, "two")];
  writeFileSync(first, "before");
  writeFileSync(second, "of this moment");
  const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };
  const before = tree(here.path);
  const rewrites = [
    { path: first, before: "before", after: "after" },
    { path: second, before: "as it was read", after: "after" },
  ];
  expect(() => writeTogether(rewrites, random)).toThrow(`${second} has just been changed`);
  expect(tree(here.path)).toEqual(before);
});

test("--global says so when HOME is no home", async () => {
  using here = await fleet();
  for (const home of [join(here.base, "gone"), "home"]) {
    const { json } = await here.call("setup claude --global", { env: { HOME: home } });
    expect(json.error).toMatchObject({ code: "USAGE", message: expect.stringContaining(`"${home}" is no folder`) });
  }
  expect(readdirSync(here.base)).not.toContain("gone");
});

test("--global writes in the home and not in the repository; without it the home is not touched", async () => {
  using here = await fleet();
  const home = join(here.base, "home");
  const [inRepository, inHome] = [tree(here.path), tree(home)];
  for (const tool of ["claude", "codex", "cursor", "gemini", "opencode"]) {
    await here.ok(`setup ${tool} --global`);
    expect(tree(home)).not.toEqual(inHome);
    expect((await here.ok(`setup ${tool} --check --global`)).complete).toBe(true);
    await here.ok(`setup ${tool} --remove --global`);
    expect(Object.entries(tree(home)).filter(([, what]) => what !== "folder")).toEqual([]);
  }
  expect(tree(here.path)).toEqual(inRepository);
  await here.ok("setup claude");
  expect(Object.entries(tree(home)).filter(([, what]) => what !== "folder")).toEqual([]);
  await here.refused("USAGE", "setup generic --global");
});

test("an opencode.jsonc is the file that is meant", async () => {
  using here = await fleet();
  here.write("opencode.jsonc", '{\n  // mine\n  "theme": "x",\n}\n');
  expect((await here.ok("setup opencode")).changed).toContain("opencode.jsonc");
  expect(existsSync(join(here.path, "opencode.json"))).toBe(false);
});

test("the hooks that setup writes run, also where lodestar is missing or does not know them", async () => {
  using here = await fleet();
  here.tasks(["B"], () => ["locks: ['src/**']"]);
  await here.join("ADA", "BEN");
  await here.ok("task claim B --agent BEN");
  await here.ok("setup claude");
  const { hooks } = JSON.parse(readFileSync(join(here.path, ".claude/settings.json"), "utf8"));
  expect(Object.keys(hooks)).toEqual(["SessionStart", "PreToolUse", "PostToolUse", "Stop"]);
  const [{ command }] = hooks.PreToolUse[0].hooks;
  const { binary } = await import("../support/sandbox.ts");
  const run = (path: string) =>
    Bun.spawnSync(["/bin/sh", "-c", command], {
      cwd: here.path,
      env: here.environment({ LODESTAR_AGENT: "ADA", PATH: path }),
      stdin: new TextEncoder().encode(JSON.stringify({ tool_input: { file_path: "src/x.ts" } })),
    });
  const refused = run(`${dirname(binary())}:/bin:/usr/bin`);
  expect(refused.exitCode).toBe(0);
  expect(JSON.parse(refused.stdout.toString()).hookSpecificOutput.permissionDecision).toBe("deny");
  expect(run("/nowhere").exitCode).toBe(0);
  here.write("old/lodestar", "#!/bin/sh\nexit 2\n");
  chmodSync(join(here.path, "old/lodestar"), 0o755);
  expect(run(join(here.path, "old")).exitCode).toBe(0);
});

test("Cursor starts the server and a person's own hooks elsewhere than in the repository: both are led there", async () => {
  using here = await fleet();
  here.tasks(["B"], () => ["locks: ['src/**']"]);
  await here.join("ADA", "BEN");
  await here.ok("task claim B --agent BEN");
  const home = join(here.base, "home");
  for (const [line, root] of [
    ["setup cursor", here.path],
    ["setup cursor --global", home],
  ] as const) {
    await here.ok(line);
    const { mcpServers } = JSON.parse(readFileSync(join(root, ".cursor/mcp.json"), "utf8"));
    const args = mcpServers.lodestar.args.map((arg: string) => arg.replace(`$${"{workspaceFolder}"}`, here.path));
    const { exit } = await here.run([...args, "--check"], { cwd: home });
    expect(exit).toBe(0);
  }
  const { hooks } = JSON.parse(readFileSync(join(home, ".cursor/hooks.json"), "utf8"));
  const { binary } = await import("../support/sandbox.ts");
  const run = (more: Record<string, string>) =>
    Bun.spawnSync(["/bin/sh", "-c", hooks.preToolUse[0].command], {
      cwd: join(home, ".cursor"),
      env: here.environment({ LODESTAR_AGENT: "ADA", PATH: `${dirname(binary())}:/bin:/usr/bin`, ...more }),
      stdin: new TextEncoder().encode(JSON.stringify({ tool_name: "Write", tool_input: { file_path: "src/x.ts" } })),
    });
  const { exitCode, stdout } = run({ CURSOR_PROJECT_DIR: here.path });
  expect([exitCode, JSON.parse(stdout.toString()).permission]).toEqual([0, "deny"]);
  for (const gone of [join(here.base, "gone"), ""]) expect(run({ CURSOR_PROJECT_DIR: gone }).exitCode).toBe(0);
});

/** What `setup` writes in a fresh repository. */
async function fresh(tool: Tool): Promise<Record<string, string>> {
  using here = await fleet();
  await here.ok(`setup ${tool}`);
  return tree(here.path);
}

interface Written {
  readonly tool: Tool;
  readonly files: Readonly<Record<string, string>>;
}

test.each(writtenBefore as readonly Written[])(
  "$tool: what an older version wrote is renewed by the same command, and taken out by --remove",
  async (written) => {
    const { tool, files } = written;
    using here = await fleet();
    const before = tree(here.path);
    for (const [path, text] of Object.entries(files)) here.write(path, text);
    const error = await here.refused("UNHEALTHY", `setup ${tool} --check`);
    expect(error.message).toContain("of an older version");
    const { changed } = await here.ok(`setup ${tool}`);
    expect(changed.toSorted()).toEqual([...error.details.missing, ...error.details.older].toSorted());
    expect((await here.call(`setup ${tool} --check`)).json.warnings).toEqual([]);
    expect(tree(here.path)).toEqual(await fresh(tool));
    for (const { path } of IN_REPOSITORY[tool]) rmSync(join(here.path, path), { force: true });
    for (const [path, text] of Object.entries(files)) here.write(path, text);
    await here.ok(`setup ${tool} --remove`);
    expect(Object.entries(tree(here.path)).filter(([, what]) => what !== "folder")).toEqual(
      Object.entries(before).filter(([, what]) => what !== "folder"),
    );
  },
);

/** The last is as it always was; the second was added. */
const HOOK_FORMS: readonly (readonly [event: string, older: unknown, now: unknown])[] = [
  ["start", { command: "lodestar hook start || true" }, { command: "lodestar hook start; exit 0" }],
  ["edit", undefined, { command: "lodestar hook edit; exit 0", timeout: 10 }],
  ["stop", { command: "lodestar hook stop" }, { command: "lodestar hook stop" }],
];
const pieces = (forms: typeof HOOK_FORMS, of: (older: unknown, now: unknown) => unknown): Piece[] =>
  forms.map(([event, older, now]) => ({
    path: ["hooks", event],
    value: of(older, now),
    runs: new RegExp(`lodestar hook ${event}`),
    former: older === undefined || Bun.deepEquals(of(older, now), older) ? [] : [older],
  }));
const inOtherWords = (part: Part): Part => ({
  ...part,
  put: (text) => part.put(text).replace(/^Tasks are in .*$/m, "Once upon a time."),
});
const table = (program: string): string =>
  `# lodestar:begin (put here, seal -)\n[mcp_servers.lodestar]\ncommand = "${program}"\n# lodestar:end`;
const KINDS: readonly (readonly [kind: string, older: Part, now: Part, held: fc.Arbitrary<string>])[] = [
  [
    "json",
    json(
      "x.json",
      "",
      pieces(HOOK_FORMS, (older) => older).filter(({ value }) => value !== undefined),
      { head: { version: 1 } },
    ),
    json(
      "x.json",
      "",
      pieces(HOOK_FORMS, (_, now) => now),
      { head: { version: 1 } },
    ),
    fc.constantFrom(...JSONS, '{"hooks": {"edit": [1, {"command": "mine"}],\r\n "stop": [{"a": 1} /* c */,]}}'),
  ],
  ["guide", inOtherWords(guide("X.md", "", "codex")), guide("X.md", "", "codex"), texts],
  ["toml", toml("x.toml", "", table("one")), toml("x.toml", "", table("two")), tomls],
];

test.each(KINDS)(
  "%s: in a file that holds anything, renewing gives what putting in gives",
  (_kind, older, now, held) => {
    let renewed = 0;
    fc.assert(
      fc.property(fc.option(held, { nil: undefined, freq: 20 }), (before) => {
        let written: string;
        try {
          written = older.put(before);
        } catch (cause) {
          if (cause instanceof NotEditable) return;
          throw cause;
        }
        if (written === before) return;
        expect(now.state(written)).not.toBe("current");
        const after = now.put(written);
        expect(after).toBe(now.put(before));
        expect(now.state(after)).toBe("current");
        expect(now.take(after)).toBe(before as string);
        expect(now.take(written)).toBe(before as string);
        renewed += 1;
      }),
      { numRuns: 300 },
    );
    expect(renewed).toBeGreaterThan(150);
  },
);

const EDITED: readonly (readonly [tool: Tool, path: string, from: string, to: string])[] = [
  ["opencode", ".opencode/plugins/lodestar.js", "10_000", "20_000"],
  ["codex", ".codex/config.toml", 'args = ["mcp", "serve"]', 'args = ["mcp", "serve"]\nenabled = false'],
  ["claude", ".claude/settings.json", '"timeout": 10', '"timeout": 30'],
  ["claude", ".claude/settings.json", "lodestar hook stop", "/opt/bin/lodestar hook stop"],
  ["gemini", ".gemini/settings.json", '"command": "lodestar",', '"command": "/opt/lodestar",'],
  ["cursor", ".cursor/rules/lodestar.mdc", "lodestar:begin", "mine"],
];

test.each(EDITED)("%s: what somebody has changed in %s stays, and is not put in a second time", async (...edited) => {
  const [tool, path, from, to] = edited;
  using here = await fleet();
  await here.ok(`setup ${tool}`);
  const text = readFileSync(join(here.path, path), "utf8");
  here.write(path, text.replace(from, to));
  const before = tree(here.path);
  expect(before[path]).not.toBe(Buffer.from(text).toString("latin1"));
  for (const line of [`setup ${tool}`, `setup ${tool} --check`]) {
    const { json } = await here.call(line);
    expect(json.data).toEqual({ tool, complete: true, changed: [] });
    expect(json.warnings).toHaveLength(1);
    expect(json.warnings[0]).toStartWith(`${path} has `);
    expect(json.warnings[0]).toContain(`run \`lodestar setup ${tool}\``);
  }
  expect(tree(here.path)).toEqual(before);
});

test("what somebody has changed stays when the rest is taken out, with a word", async () => {
  using here = await fleet();
  await here.ok("setup opencode");
  const plugin = join(here.path, ".opencode/plugins/lodestar.js");
  writeFileSync(plugin, `${readFileSync(plugin, "utf8")}// mine\n`);
  const { json } = await here.call("setup opencode --remove");
  expect(json.data.changed).toEqual(["opencode.json", "AGENTS.md"]);
  expect(json.warnings).toEqual([
    ".opencode/plugins/lodestar.js has the hooks in a form of its own, which stays; take it out by hand",
  ]);
  expect(readFileSync(plugin, "utf8")).toEndWith("// mine\n");
});

test("files with the line ends of Windows, as a checkout there has them, are ours", async () => {
  using here = await fleet();
  const before = tree(here.path);
  for (const tool of TOOLS) {
    await here.ok(`setup ${tool}`);
    for (const { path } of IN_REPOSITORY[tool])
      here.write(path, readFileSync(join(here.path, path), "utf8").replaceAll("\n", "\r\n"));
    expect((await here.call(`setup ${tool} --check`)).json.warnings).toEqual([]);
    expect((await here.ok(`setup ${tool}`)).changed).toEqual([]);
    await here.ok(`setup ${tool} --remove`);
    expect(tree(here.path)).toEqual(before);
  }
});

test("a line that was written after Codex's table, and belongs to it, is not left to another table", async () => {
  using here = await fleet();
  here.write(".codex/config.toml", "[tui]\ntheme = 'x'\n");
  await here.ok("setup codex");
  const path = join(here.path, ".codex/config.toml");
  const alone = readFileSync(path, "utf8");
  writeFileSync(path, `${alone}default_tools_approval_mode = "approve"\n`);
  const before = tree(here.path);
  const error = await here.refused("USAGE", "setup codex --remove");
  expect(error.message).toContain("belongs to it");
  expect(tree(here.path)).toEqual(before);
  writeFileSync(path, `${alone}[history]\npersistence = "none"\n`);
  await here.ok("setup codex --remove");
  expect(readFileSync(path, "utf8")).toBe("[tui]\ntheme = 'x'\n\n[history]\npersistence = \"none\"\n");
});

test.each([
  ["init", "AGENTS.md", "kept up to date by `lodestar init`; write outside these markers"],
  [
    "setup claude",
    "CLAUDE.md",
    "put here by `lodestar setup claude`, taken out with `--remove`; write outside these markers",
  ],
])(
  "%s: what stands after a section whose end somebody has taken away is not taken for a part of it",
  async (line, path, mark) => {
    using here = await fleet();
    const mine = `# Mine\n\n<!-- lodestar:begin (${mark}) -->\n## Working with Lodestar\n\n## My notes\n`;
    here.write(path, mine);
    for (let time = 0; time < 3; time++) await here.ok(line);
    const text = readFileSync(join(here.path, path), "utf8");
    expect(text).toStartWith(mine);
    expect(text.match(/lodestar:end/g)).toHaveLength(1);
    if (line === "init") return;
    await here.ok(`${line} --remove`);
    expect(readFileSync(join(here.path, path), "utf8")).toBe(mine);
  },
);

test("a table of Codex's server that somebody has added is not left without the server", async () => {
  using here = await fleet();
  await here.ok("setup codex");
  const path = join(here.path, ".codex/config.toml");
  const alone = readFileSync(path, "utf8");
  writeFileSync(path, `${alone}\n[mcp_servers.lodestar.env]\nLODESTAR_AGENT = "ADA"\n`);
  const before = tree(here.path);
  const error = await here.refused("USAGE", "setup codex --remove");
  expect(error.message).toContain("more of mcp_servers.lodestar stands outside");
  expect(tree(here.path)).toEqual(before);
  writeFileSync(path, alone);
  await here.ok("setup codex --remove");
  expect(existsSync(path)).toBe(false);
});
