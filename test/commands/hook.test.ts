/** The hooks of coding agents on the compiled program, with the JSON that those tools send: what they do, and that they never stand in the way. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Fleet, fleet, words } from "../support/fleet.ts";
import { binary, type Ran } from "../support/sandbox.ts";

const SESSION = "0a1b2c3d-1111-2222-3333-444455556666";

/** What Claude Code writes to a hook's standard input. */
const said = (here: Fleet, event: string, more: object = {}): string =>
  JSON.stringify({
    session_id: SESSION,
    transcript_path: "/home/someone/.claude/projects/x/session.jsonl",
    cwd: here.path,
    permission_mode: "default",
    hook_event_name: event,
    ...more,
  });
const edits = (here: Fleet, file_path: string, more: object = {}): string =>
  said(here, "PreToolUse", {
    tool_name: "Edit",
    tool_input: { file_path, old_string: "a", new_string: "b" },
    tool_use_id: "toolu_01ABC123",
    ...more,
  });

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}
const hook = (here: Fleet, line: string, stdin: string, given: Given = {}): Promise<Ran> =>
  here.run(["hook", ...words(line)], { stdin, ...given });
const ADA = { env: { LODESTAR_AGENT: "ADA" } };

/** BEN holds B, which owns src/auth/**; ADA holds A. */
async function held(): Promise<Fleet> {
  const here = await fleet();
  here.tasks(["A", "B", "C"], (id) => (id === "B" ? ["locks: ['src/auth/**', 'docs/[draft]*']"] : []));
  await here.join("ADA", "BEN");
  await here.ok("task claim B --agent BEN");
  await here.ok("task claim A --agent ADA");
  return here;
}

function alter(here: Fleet, sql: string): void {
  using database = new Database(join(here.path, ".lodestar", "runtime.sqlite"));
  database.run(sql);
}
const silent = { exit: 0, stdout: "", stderr: "" };

test("session-start joins one agent for the session and prints the brief in under 1 500 characters", async () => {
  using here = await held();
  await here.ok("msg send --to agent:ADA --from BEN --text Hello");
  const env = join(here.base, "claude-env");
  const start = () =>
    hook(here, "session-start", said(here, "SessionStart", { source: "startup" }), { env: { CLAUDE_ENV_FILE: env } });
  const first = await start();
  expect(first).toMatchObject({ exit: 0, stderr: "" });
  expect(first.stdout.length).toBeLessThan(1500);
  const [agent] = /A[0-9A-Z]{8}/.exec(first.stdout) ?? [];
  expect(first.stdout).toContain(`You are ${agent}.`);
  expect(first.stdout).toContain("C P100");
  expect((await start()).stdout).toBe(first.stdout);
  expect(readFileSync(env, "utf8")).toBe(`export LODESTAR_AGENT=${agent}\n`);
  writeFileSync(env, "export OTHER=1");
  await start();
  expect(readFileSync(env, "utf8")).toBe(`export OTHER=1\nexport LODESTAR_AGENT=${agent}\n`);
  const unwritable = await hook(here, "session-start", said(here, "SessionStart"), {
    env: { CLAUDE_ENV_FILE: here.base },
  });
  expect(unwritable).toMatchObject({
    exit: 0,
    stdout: first.stdout,
    stderr: expect.stringContaining("cannot be written"),
  });
  const { agents } = await here.ok("agent list");
  expect(agents.map((each: { agent_id: string }) => each.agent_id).sort()).toEqual([agent, "ADA", "BEN"].sort());
  const ada = await hook(here, "session-start", said(here, "SessionStart"), ADA);
  expect(ada.stdout).toContain("You are ADA.");
  expect(ada.stdout).toMatch(/You hold A /);
  expect(ada.stdout).toContain("1 unread message");
});

test("an agent that is named and not registered joins at the session's start", async () => {
  using here = await held();
  expect((await hook(here, "session-start", "{}", { env: { LODESTAR_AGENT: "EVE" } })).stdout).toContain(
    "You are EVE.",
  );
  expect((await here.ok("agent whoami --agent EVE")).agent_id).toBe("EVE");
  const none = await hook(here, "session-start", "{}");
  expect(none.stdout).toContain("You have no identity yet");
});

test("session-start speaks the language of the tool", async () => {
  using here = await held();
  const start = async (tool: string) =>
    JSON.parse((await hook(here, `session-start --tool ${tool}`, said(here, "SessionStart"))).stdout);
  for (const tool of ["claude", "codex", "gemini"]) {
    const { hookSpecificOutput } = await start(tool);
    expect(hookSpecificOutput.hookEventName).toBe("SessionStart");
    expect(hookSpecificOutput.additionalContext).toContain("You are A");
  }
  const copilot = JSON.stringify({ sessionId: SESSION, timestamp: 1, cwd: here.path, source: "startup" });
  const { stdout } = await hook(here, "session-start --tool copilot", copilot);
  expect(JSON.parse(stdout)).toEqual({ additionalContext: expect.stringContaining("You are A") });
  const cursor = await start("cursor");
  expect(cursor.additional_context).toContain(`You are ${cursor.env.LODESTAR_AGENT}.`);
});

test("pre-edit refuses a file inside another agent's locks: who, what, until when; and nothing else", async () => {
  using here = await held();
  const refused = await hook(here, "pre-edit", edits(here, join(here.path, "src/auth/login.ts")), ADA);
  expect(refused).toMatchObject({ exit: 2, stdout: "" });
  expect(refused.stderr).toMatch(/src\/auth\/login\.ts is locked by task B, held by BEN until \d{4}-.*Z/);
  expect(await hook(here, "pre-edit", edits(here, "src/auth/login.ts"), ADA)).toMatchObject({ exit: 2 });
  for (const free of ["src/other.ts", "/etc/hosts", "../outside.ts", ".lodestar/spec.yaml", "src/\0auth", ""])
    expect(await hook(here, "pre-edit", edits(here, free), ADA)).toMatchObject(silent);
  expect(
    await hook(here, "pre-edit", edits(here, "src/auth/login.ts"), { env: { LODESTAR_AGENT: "BEN" } }),
  ).toMatchObject(silent);
  await here.ok("task release B --agent BEN");
  expect(await hook(here, "pre-edit", edits(here, "src/auth/login.ts"), ADA)).toMatchObject(silent);
});

test("pre-edit speaks the language of the tool", async () => {
  using here = await held();
  const answer = async (tool: string, event = edits(here, "src/auth/login.ts")) => {
    const ran = await hook(here, `pre-edit --tool ${tool}`, event, ADA);
    expect(ran).toMatchObject({ exit: 0, stderr: "" });
    return JSON.parse(ran.stdout);
  };
  const reason = expect.stringContaining("held by BEN");
  for (const tool of ["claude", "codex"])
    expect(await answer(tool)).toEqual({
      hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "deny", permissionDecisionReason: reason },
    });
  const copilot = { sessionId: SESSION, cwd: here.path, toolName: "edit", toolArgs: { path: "src/auth/login.ts" } };
  expect(await answer("copilot", JSON.stringify(copilot))).toEqual({
    permissionDecision: "deny",
    permissionDecisionReason: reason,
  });
  expect(await answer("cursor")).toEqual({ permission: "deny", user_message: reason, agent_message: reason });
  expect(await answer("gemini")).toEqual({ decision: "deny", reason });
});

test("pre-edit knows the file under every name: notebooks, patches, links, signs of patterns, another worktree", async () => {
  using here = await held();
  const refuses = async (tool_input: object) =>
    (await hook(here, "pre-edit", said(here, "PreToolUse", { tool_input }), ADA)).exit;
  expect(await refuses({ notebook_path: "src/auth/a.ipynb" })).toBe(2);
  expect(await refuses({ files: ["x.ts", "src/auth/a.ts"] })).toBe(2);
  expect(await refuses({ edits: [{ path: "src/auth/a.ts" }] })).toBe(2);
  expect(await refuses({ command: "*** Begin Patch\n*** Update File: src/auth/a.ts\n@@\n*** End Patch" })).toBe(2);
  expect(await refuses({ command: "cat src/auth/a.ts" })).toBe(0);
  for (const [tool_name, exit] of [
    ["Read", 0],
    ["", 2],
    [null, 2],
  ]) {
    const event = said(here, "PreToolUse", { tool_name, tool_input: { file_path: "src/auth/a.ts" } });
    expect((await hook(here, "pre-edit", event, ADA)).exit).toBe(exit as number);
  }
  expect(await refuses({ file_path: "src/./x/../auth/a.ts" })).toBe(2);
  mkdirSync(join(here.path, "src", "auth"), { recursive: true });
  symlinkSync("src/auth", join(here.path, "way"));
  expect(await refuses({ file_path: "way/new.ts" })).toBe(2);
  here.commit("worktree");
  here.git("worktree", "add", "-q", join(here.base, "other"));
  expect(await refuses({ file_path: join(here.base, "other", "src/auth/deep/new.ts") })).toBe(2);
  expect(await refuses({ file_path: join(here.base, "other", "free.ts") })).toBe(0);
});

test("Copilot announces every tool, in its own words: only what writes is refused", async () => {
  using here = await held();
  const denied = async (toolName: string, toolArgs: unknown) => {
    const event = { timestamp: 1, cwd: here.path, sessionId: SESSION, toolName, toolArgs };
    const { exit, stdout } = await hook(here, "pre-edit --tool copilot", JSON.stringify(event), ADA);
    expect(exit).toBe(0);
    return stdout.includes('"deny"');
  };
  const path = join(here.path, "src/auth/login.ts");
  for (const args of [{ path }, JSON.stringify({ path })]) {
    expect(await denied("edit", args)).toBe(true);
    expect(await denied("create", args)).toBe(true);
    expect(await denied("view", args)).toBe(false);
  }
  expect(await denied("apply_patch", `*** Begin Patch\n*** Delete File: ${path}\n*** End Patch`)).toBe(true);
  expect(await denied("edit", { path: "free.ts" })).toBe(false);
  expect(await denied("edit", "{")).toBe(false);
});

/** What VS Code says, when it runs the hooks of Copilot or of Claude Code. */
const inVsCode = (here: Fleet, event: string, more: object = {}): string =>
  JSON.stringify({
    timestamp: "2026-11-09T10:30:00.000Z",
    hook_event_name: event,
    session_id: SESSION,
    cwd: here.path,
    ...more,
  });

test("VS Code runs Copilot's hooks and is answered in its own form", async () => {
  using here = await held();
  const answer = async (line: string, said: string) => {
    const ran = await hook(here, `${line} --tool copilot`, said, ADA);
    expect(ran).toMatchObject({ exit: 0, stderr: "" });
    return JSON.parse(ran.stdout);
  };
  const started = await answer("session-start", inVsCode(here, "SessionStart", { source: "new" }));
  expect(started).toEqual({
    hookSpecificOutput: { hookEventName: "SessionStart", additionalContext: expect.stringContaining("You are ADA.") },
  });
  const path = join(here.path, "src/auth/login.ts");
  const edit = { tool_name: "replace_string_in_file", tool_input: { filePath: path }, tool_use_id: "tool-123" };
  const denied = {
    hookSpecificOutput: {
      hookEventName: "PreToolUse",
      permissionDecision: "deny",
      permissionDecisionReason: expect.stringContaining("held by BEN"),
    },
  };
  expect(await answer("pre-edit", inVsCode(here, "PreToolUse", edit))).toEqual(denied);
  const { hook_event_name, ...rest } = JSON.parse(inVsCode(here, "PreToolUse", edit));
  expect(await answer("pre-edit", JSON.stringify({ ...rest, hookEventName: hook_event_name }))).toEqual(denied);
  expect(await answer("stop", inVsCode(here, "Stop", { stop_hook_active: false }))).toEqual({
    hookSpecificOutput: {
      hookEventName: "Stop",
      decision: "block",
      reason: expect.stringContaining("You still hold A"),
    },
  });
});

test.each(["claude", "copilot"])(
  "VS Code looks at no matcher: of the hooks of %s only what writes is refused",
  async (tool) => {
    using here = await held();
    const denies = async (tool_name: string, tool_input: object): Promise<boolean> => {
      const said = inVsCode(here, "PreToolUse", { tool_name, tool_input });
      const { exit, stdout } = await hook(here, `pre-edit --tool ${tool}`, said, ADA);
      expect(exit).toBe(0);
      return stdout.includes('"deny"');
    };
    const filePath = join(here.path, "src/auth/login.ts");
    for (const name of ["create_file", "insert_edit_into_file", "edit_notebook_file"])
      expect(await denies(name, { filePath })).toBe(true);
    expect(await denies("editFiles", { files: ["free.ts", "src/auth/login.ts"] })).toBe(true);
    expect(
      await denies("multi_replace_string_in_file", { replacements: [{ filePath: "free.ts" }, { filePath }] }),
    ).toBe(true);
    expect(await denies("apply_patch", { input: `*** Begin Patch\n*** Update File: ${filePath}\n*** End Patch` })).toBe(
      true,
    );
    for (const name of ["read_file", "list_dir", "grep_search", "get_errors"])
      expect(await denies(name, { filePath, path: filePath })).toBe(false);
  },
);

test("Cursor patches files, too, and is not told to go on by whoever broke a turn off", async () => {
  using here = await held();
  const conversation = { conversation_id: SESSION, generation_id: "g", workspace_roots: [here.path] };
  const patch = "*** Begin Patch\n*** Update File: src/auth/login.ts\n*** End Patch";
  for (const tool_input of [patch, { patch }, { diff: patch }]) {
    const said = JSON.stringify({
      ...conversation,
      hook_event_name: "preToolUse",
      tool_name: "ApplyPatch",
      tool_input,
    });
    // As it comes on Windows.
    const { stdout } = await hook(here, "pre-edit --tool cursor", `\uFEFF${said}`, ADA);
    expect(JSON.parse(stdout).permission).toBe("deny");
  }
  const stop = (status: string) =>
    hook(
      here,
      "stop --tool cursor",
      JSON.stringify({ ...conversation, hook_event_name: "stop", status, loop_count: 0 }),
      ADA,
    );
  for (const status of ["aborted", "error"]) expect(await stop(status)).toMatchObject(silent);
  expect(JSON.parse((await stop("completed")).stdout).followup_message).toContain("You still hold A");
});

test("a subagent of Copilot, whose session is its own, works for its parent's agent, and is not reminded", async () => {
  using here = await held();
  const [, agent] = /You are (A\w+)\./.exec((await hook(here, "session-start", said(here, "x"))).stdout) ?? [];
  await here.ok(`task claim C --agent ${agent}`);
  const child = { sessionId: "of-its-own", cwd: here.path, parentAgentId: SESSION, agentId: "of-its-own" };
  const edit = { ...child, toolName: "create", toolArgs: { path: "src/auth/x.ts", file_text: "x" } };
  const refused = await hook(here, "pre-edit", JSON.stringify(edit));
  expect(refused).toMatchObject({ exit: 2, stderr: expect.stringContaining(`--from ${agent}`) });
  expect(await hook(here, "stop", JSON.stringify(child))).toMatchObject(silent);
  expect((await hook(here, "stop", said(here, "Stop"))).stderr).toContain("You still hold C");
  expect(await hook(here, "pre-edit", JSON.stringify({ ...edit, parentAgentId: "unknown" }))).toMatchObject(silent);
});

test("the plugin that setup writes for opencode tells the brief, refuses, renews, and is silent where lodestar is missing", async () => {
  using here = await held();
  await here.ok("setup opencode");
  const { Lodestar } = await import(join(here.path, ".opencode/plugins/lodestar.js"));
  const told: { path: { id: string }; body: { noReply: boolean; parts: { text: string }[] } }[] = [];
  const parents: Record<string, string> = { child: "middle", middle: SESSION };
  const client = {
    session: {
      prompt: async (said: (typeof told)[number]) => void told.push(said),
      get: async ({ path: { id } }: { path: { id: string } }) => {
        if (id === "unknown") throw new Error("There is no such session.");
        return { data: { id, parentID: parents[id] } };
      },
    },
  };
  const plugin = await Lodestar({ client, directory: here.path });
  const before = process.env.PATH;
  const event = { type: "session.created", properties: { info: { id: SESSION } } };
  const edit = (filePath: string, tool = "edit", sessionID = SESSION) =>
    plugin["tool.execute.before"]({ tool, sessionID }, { args: { filePath } });
  try {
    process.env.PATH = "/nowhere";
    await plugin.event({ event });
    await edit("src/auth/login.ts");
    await plugin["tool.execute.after"]({ tool: "edit", sessionID: SESSION });
    expect(told).toEqual([]);

    process.env.PATH = `${dirname(binary())}:${before}`;
    await plugin.event({ event });
    expect(told[0]).toMatchObject({ path: { id: SESSION }, body: { noReply: true } });
    const [, agent] = /You are (A\w+)\./.exec(told[0]?.body.parts[0]?.text ?? "") ?? [];
    expect((await here.ok(`agent whoami --agent ${agent}`)).agent_id).toBe(agent);
    await expect(edit("src/auth/login.ts")).rejects.toThrow("held by BEN");
    await expect(
      plugin["tool.execute.before"](
        { tool: "apply_patch", sessionID: SESSION },
        { args: { patchText: "*** Begin Patch\n*** Add File: src/auth/x.ts\n*** End Patch" } },
      ),
    ).rejects.toThrow("held by BEN");
    await expect(edit("src/auth/login.ts", "write", "child")).rejects.toThrow(`--from ${agent}`);
    await edit("src/auth/login.ts", "write", "unknown");
    await edit("src/auth/login.ts", "read");
    await edit("free.ts");
    await here.ok(`task claim C --agent ${agent}`);
    alter(here, "update lease set expires_at = expires_at - ttl * 2 / 3 where task_id = 'C'");
    const [late] = (await here.ok("status")).leases.filter(({ task_id }: { task_id: string }) => task_id === "C");
    await plugin["tool.execute.after"]({ tool: "bash", sessionID: SESSION });
    const [now] = (await here.ok("status")).leases.filter(({ task_id }: { task_id: string }) => task_id === "C");
    expect(Date.parse(now.expires_at)).toBeGreaterThan(Date.parse(late.expires_at));
  } finally {
    process.env.PATH = before;
  }
});

test("the agent of the session acts where none is named, and an unknown session stops nobody", async () => {
  using here = await held();
  const edit = edits(here, "src/auth/login.ts");
  expect(await hook(here, "pre-edit", edit)).toMatchObject(silent);
  await hook(here, "session-start", said(here, "SessionStart"));
  expect((await hook(here, "pre-edit", edit)).exit).toBe(2);
  expect(await hook(here, "pre-edit", edit.replace(SESSION, "another"))).toMatchObject(silent);
});

test("post-tool renews what the session holds once it is past half its time, and only that", async () => {
  using here = await held();
  await here.ok("task claim C --agent ADA", { env: { LODESTAR_SESSION: "elsewhere" } });
  const ends = () => {
    using database = new Database(join(here.path, ".lodestar", "runtime.sqlite"));
    const rows = database.query("select task_id, expires_at from lease").all() as {
      task_id: string;
      expires_at: number;
    }[];
    return Object.fromEntries(rows.map(({ task_id, expires_at }) => [task_id, expires_at]));
  };
  const use = () => hook(here, "post-tool", said(here, "PostToolUse", { tool_name: "Bash", tool_input: {} }), ADA);
  const fresh = ends();
  expect(await use()).toMatchObject(silent);
  expect(ends()).toEqual(fresh);
  alter(here, "update lease set expires_at = expires_at - ttl * 2 / 3");
  const late = ends();
  expect(await use()).toMatchObject(silent);
  const now = ends();
  expect(now.A).toBeGreaterThan(late.A ?? 0);
  expect([now.B, now.C]).toEqual([late.B, late.C]);
  expect((await here.ok("task log A")).events.map((event: { type: string }) => event.type)).not.toContain(
    "task.renewed",
  );
});

test("stop names what the session holds and the three ways out, once a turn", async () => {
  using here = await held();
  const stop = (more: object, line = "stop") => hook(here, line, said(here, "Stop", more), ADA);
  const told = await stop({ stop_hook_active: false });
  expect(told).toMatchObject({ exit: 2, stdout: "" });
  for (const word of ["A (until", "task done A --agent ADA", "task release A --agent ADA", "task renew A --agent ADA"])
    expect(told.stderr).toContain(word);
  expect(await stop({ stop_hook_active: true })).toMatchObject(silent);
  const claude = JSON.parse((await stop({}, "stop --tool claude")).stdout);
  expect(claude).toEqual({ decision: "block", reason: expect.stringContaining("You still hold A") });
  await here.ok("task done A --agent ADA");
  expect(await stop({})).toMatchObject(silent);
});

test("where Lodestar is not set up every hook is silent, and makes nothing", async () => {
  using here = await fleet({ init: false });
  for (const event of ["session-start", "pre-edit", "post-tool", "stop"])
    expect(await hook(here, event, said(here, "x"), ADA)).toMatchObject(silent);
  using bare = await fleet({ git: false, init: false });
  expect(await hook(bare, "session-start", said(bare, "x"), ADA)).toMatchObject(silent);
  expect(existsSync(join(here.path, ".lodestar"))).toBe(false);
});

const EVENTS = ["session-start", "pre-edit", "post-tool", "stop"];
const BROKEN: readonly (readonly [string, (here: Fleet) => unknown])[] = [
  [
    "a runtime that is no database",
    (here) => here.write(".lodestar/runtime.sqlite", "no database at all, ".repeat(500)),
  ],
  ["a runtime of another schema", (here) => alter(here, "pragma user_version = 999")],
  ["a runtime that is a folder", folder],
  ["no runtime", rm],
  ["a spec that cannot be read", (here) => here.write(".lodestar/spec.yaml", "tasks: [\n<<<<<<< HEAD\n")],
  ["an agent that is none", (here) => alter(here, "delete from agent")],
];
function rm(here: Fleet): void {
  for (const end of ["", "-wal", "-shm"])
    if (existsSync(join(here.path, `.lodestar/runtime.sqlite${end}`)))
      rmSync(join(here.path, `.lodestar/runtime.sqlite${end}`));
}

test.each(BROKEN)("with %s every hook lets the tool go on", async (_what, breakIt) => {
  using here = await held();
  breakIt(here);
  for (const event of EVENTS) {
    for (const env of [{}, { LODESTAR_AGENT: "NOBODY" }, { LODESTAR_AGENT: "no/../id" }]) {
      const ran = await hook(here, event, said(here, "x", { tool_input: { file_path: "free.ts" } }), { env });
      expect({ event, exit: ran.exit, stderr: ran.stderr }).toMatchObject({ event, exit: 0 });
      expect(ran.stderr).not.toMatch(/\n\s+at /);
      if (event !== "session-start") expect(ran.stdout).toBe("");
    }
  }
});

test("a runtime that another process has locked is waited for a second, not half a minute", async () => {
  using here = await held();
  alter(here, "update lease set expires_at = expires_at - ttl * 2 / 3");
  using database = new Database(join(here.path, ".lodestar", "runtime.sqlite"));
  database.run("pragma locking_mode = exclusive");
  database.run("begin exclusive");
  for (const event of EVENTS) {
    const ran = await hook(here, event, said(here, "x"), { env: { LODESTAR_AGENT: "ADA", NO: "1" } });
    expect({ event, exit: ran.exit }).toEqual({
      event,
      exit: event === "stop" && ran.stderr.includes("hold A") ? 2 : 0,
    });
  }
  const late = await hook(here, "post-tool", said(here, "x"), ADA);
  expect(late.exit).toBe(0);
  expect(late.stderr).toContain("Lodestar: ");
}, 30_000);

/** A hook whose standard input gets these parts, and stays open. */
async function unending(here: Fleet, event: string, parts: readonly (string | Uint8Array)[]) {
  const child = Bun.spawn([binary(), "hook", event], {
    cwd: here.path,
    env: here.environment(ADA.env),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  for (const part of parts) {
    child.stdin.write(part);
    await child.stdin.flush();
  }
  const [exit, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  return { exit, stderr };
}

test("a hook whose standard input never ends does its work once all is said, and else lets the tool go on", async () => {
  using here = await held();
  const locked = edits(here, "src/auth/x.ts");
  expect(await unending(here, "pre-edit", [locked])).toMatchObject({ exit: 2 });
  const big = edits(here, "src/auth/x.ts", { tool_response: "x".repeat(1_000_000) });
  expect(await unending(here, "pre-edit", [big.slice(0, 300_000), big.slice(300_000)])).toMatchObject({ exit: 2 });
  expect(await unending(here, "pre-edit", [])).toEqual({ exit: 0, stderr: "" });
  const half = await unending(here, "pre-edit", [locked.slice(0, 30)]);
  expect(half).toMatchObject({ exit: 0, stderr: expect.stringContaining("Lodestar: the hook's input cannot be read") });
  const started = await unending(here, "session-start", []);
  expect(started).toEqual({ exit: 0, stderr: "" });
}, 60_000);

test("standard input that is closed, a folder, deep, or no UTF-8: the tool goes on", async () => {
  using here = await held();
  const shell = async (words: string) => {
    const child = Bun.spawn(["sh", "-c", words], {
      cwd: here.path,
      env: here.environment({ ...ADA.env, LODESTAR: binary() }),
      stderr: "pipe",
    });
    return { exit: await child.exited, stderr: await new Response(child.stderr).text() };
  };
  expect((await shell('"$LODESTAR" hook pre-edit <&-')).exit).toBe(0);
  // A folder says nothing, like a stream to which nobody writes.
  expect(await shell('"$LODESTAR" hook pre-edit < /')).toEqual({ exit: 0, stderr: "" });
  expect(await shell('"$LODESTAR" hook pre-edit < /dev/null')).toEqual({ exit: 0, stderr: "" });
  expect((await shell('yes | "$LODESTAR" hook pre-edit')).exit).toBe(0);
  const deep = `{"tool_input":${"[".repeat(2_000_000)}${"]".repeat(2_000_000)}}`;
  expect((await hook(here, "pre-edit", deep, ADA)).exit).toBe(0);
  const path = Buffer.from('{"tool_input":{"file_path":"src/auth/\xff\xfe.ts"}}', "latin1");
  expect((await unending(here, "pre-edit", [path])).exit).toBe(2);
}, 60_000);

test("a link to a locked file is that file, also when the file is yet to be made, and links in a ring stop nobody", async () => {
  using here = await held();
  const refuses = async (file_path: string) => (await hook(here, "pre-edit", edits(here, file_path), ADA)).exit;
  here.write("src/auth/old.ts", "");
  const links = {
    old: "src/auth/old.ts",
    "yet-to-come": "src/auth/new.ts",
    far: "yet-to-come",
    ring: "gnir",
    gnir: "ring",
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(here.path, name));
  symlinkSync(join(here.path, "src/auth/deep/new.ts"), join(here.base, "outside"));
  for (const name of ["old", "yet-to-come", "far", "../outside"])
    expect({ name, exit: await refuses(name) }).toEqual({ name, exit: 2 });
  for (const name of [
    "ring",
    "gnir/x.ts",
    "/proc/self/root",
    "C:\\Users\\me\\x.ts",
    "x".repeat(5000),
    "a/".repeat(100_000),
  ])
    expect({ name: name.slice(0, 40), exit: await refuses(name) }).toEqual({ name: name.slice(0, 40), exit: 0 });
  // On Windows a separator; elsewhere nobody means it as part of a name.
  expect(await refuses("src\\auth\\x.ts")).toBe(2);
});

test("whatever comes on standard input, the tool goes on", async () => {
  using here = await held();
  const huge = edits(here, "free.ts", { tool_response: "x".repeat(50_000_000) });
  for (const stdin of [
    "",
    "{",
    "[]",
    "null",
    "7",
    '"x"',
    "\0\u00ff",
    '{"tool_input":7}',
    '{"tool_input":{"file_path":{}}}',
    huge,
  ]) {
    const ran = await hook(here, "pre-edit", stdin, ADA);
    expect({ stdin: stdin.slice(0, 40), exit: ran.exit, stdout: ran.stdout }).toEqual({
      stdin: stdin.slice(0, 40),
      exit: 0,
      stdout: "",
    });
  }
  const locked = edits(here, "src/auth/x.ts", { tool_response: "x".repeat(50_000_000) });
  expect((await hook(here, "pre-edit", locked, ADA)).exit).toBe(2);
  expect((await hook(here, "pre-edit", "{", ADA)).stderr).toContain("Lodestar: the hook's input cannot be read");
}, 60_000);

test("what a file is called never acts on the terminal", async () => {
  using here = await held();
  const ran = await hook(here, "pre-edit", edits(here, "src/auth/\u001b[2J.ts"), ADA);
  expect(ran.exit).toBe(2);
  expect(ran.stderr).not.toContain("\u001b");
});
function folder(here: Fleet): void {
  rm(here);
  mkdirSync(join(here.path, ".lodestar", "runtime.sqlite"));
}
