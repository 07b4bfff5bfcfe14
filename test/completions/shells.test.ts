/** The scripts of `lodestar completions`, in the shells that read them. Where a shell is not installed its tests say so and go on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { binary, type Sandbox, sandbox } from "../support/sandbox.ts";

/** Ids and titles that would act if a shell took them for anything but text. */
const SPEC = `tasks:
  AUTH-1: {title: 'Log in', status: ready, priority: 1, labels: ['area:web', 'two words', backend]}
  AUTH-2: {title: 'Log out $(touch pwned) \`touch pwned\`; touch pwned "', status: ready, priority: 2, labels: ['area:cli']}
  AUTH-3: {title: 'Waits', status: ready, depends_on: [AUTH-1]}
  CORE-1: {title: 'Done', status: done}
  OLD: {title: 'Gone', status: deleted}
  '$(touch pwned)': {title: x, status: ready}
  '\`touch pwned\`': {title: x, status: ready}
  'a; touch pwned': {title: x, status: ready}
  "b'; touch pwned; '": {title: x, status: ready}
  "two\\nlines\\twith tab": {title: x, status: ready}
  '-rf': {title: x, status: ready}
  '~root': {title: x, status: ready}
  '=ls': {title: x, status: ready}
  'star*': {title: x, status: ready}
features: {web: [AUTH-1], 'no words': []}
`;

let here: Sandbox;
const environment = () => here.environment({ PATH: `${dirname(binary())}:${process.env.PATH ?? ""}` });

beforeAll(async () => {
  here = sandbox();
  here.write(".lodestar/spec.yaml", SPEC);
  here.write("notes one.txt", "");
  here.write("folder/inside.txt", "");
  for (const agent of ["ALICE", "BOB"]) await here.run(["agent", "join", "--id", agent, "--name", agent.toLowerCase()]);
  expect((await here.run(["task", "claim", "AUTH-2", "--agent", "ALICE"])).exit).toBe(0);
}, 120_000);
afterAll(() => here.remove());

/** Runs a script in a shell; fails when it says anything on standard error, and when something of a title or an id was run. */
function shell(program: readonly string[], script: string): string {
  const ran = Bun.spawnSync([...program, script], { cwd: here.path, env: environment(), stdin: "ignore" });
  expect({ stderr: ran.stderr.toString(), exit: ran.exitCode }).toEqual({ stderr: "", exit: 0 });
  expect(readdirSync(here.path)).not.toContain("pwned");
  return ran.stdout.toString();
}

/** What each shell must answer: the line up to the cursor, and the words that may stand there then. */
const CASES: readonly (readonly [line: string, words: readonly string[]])[] = [
  ["lodestar task cla", ["claim"]],
  ["lodestar age", ["agent"]],
  ["lodestar task claim ", ["AUTH-1"]],
  ["lodestar task claim --review ", ["CORE-1"]],
  ["lodestar task verify ", ["CORE-1"]],
  ["lodestar task done ", ["AUTH-2"]],
  ["lodestar task done --agent BOB ", []],
  ["lodestar task renew --agent ALICE ", ["AUTH-2"]],
  ["lodestar task reopen ", ["CORE-1", "OLD"]],
  ["lodestar task show A", ["AUTH-1", "AUTH-2", "AUTH-3"]],
  ["lodestar task claim AUTH-1 ", []],
  ["lodestar task show AUTH-1 ", []],
  ["lodestar task list --status ", ["todo", "ready", "blocked", "done", "verified", "deleted"]],
  ["lodestar task list --sta", ["--status"]],
  ["lodestar task list --claimed-by ", ["ALICE", "BOB"]],
  ["lodestar task next --agent B", ["BOB"]],
  ["lodestar task list --label ", ["area:cli", "area:web", "backend"]],
  ["lodestar task list --feature ", ["web"]],
  ["lodestar completions ", ["bash", "fish", "powershell", "zsh"]],
  ["lodestar no-such-command ", []],
];

test("the answer to a shell: live ids that the command can take, and no id that is more than a word", async () => {
  for (const [line, words] of CASES) {
    const before = line.split(" ").slice(1);
    const current = before.pop() ?? "";
    const { exit, stdout, stderr } = await here.run(["completions", `--complete=${current}`, "--", ...before]);
    const [kind, ...rest] = stdout.trimEnd().split("\n");
    expect({ line, exit, stderr, kind }).toEqual({ line, exit: 0, stderr: "", kind: "words" });
    const offered = rest.map((one) => one.split("\t")[0]);
    expect({ line, offered: offered.sort() }).toEqual({ line, offered: [...words].sort() });
  }
}, 60_000);

test("claimable tasks come in the order of `task next`, with their titles on one line", async () => {
  const { stdout } = await here.run(["completions", "--complete=", "--", "task", "show"]);
  expect(stdout).toContain('AUTH-2\tready: Log out $(touch pwned) `touch pwned`; touch pwned "\n');
  for (const line of stdout.trimEnd().split("\n").slice(1)) expect(line).toMatch(/^[\w.:-]+\t[^\t]+$/);
});

test("of many tasks those whose ids begin as typed are offered, wherever they stand in the order, in both planes", async () => {
  using many = sandbox();
  mkdirSync(join(many.path, ".lodestar"));
  const task = (id: string, priority: number) =>
    `  ${id}:\n    title: one\n    status: ready\n    priority: ${priority}\n`;
  const first = Array.from({ length: 300 }, (_, i) => task(`T-${String(i).padStart(3, "0")}`, 1));
  writeFileSync(
    join(many.path, ".lodestar/spec.yaml"),
    `tasks:\n${first.join("")}${task("X-1", 9)}${task("X-2", 9)}${task("Y-1", 9)}${task("Ünï-Ж", 9)}`,
  );
  await many.run(["agent", "join", "--id", "A", "--json"]);
  // Only the runtime knows of the one that was given back, and of the one that is held.
  await many.run(["task", "claim", "X-1", "--agent", "A", "--json"]);
  const offered = async (typed: string, ...line: string[]) => {
    const { stdout } = await many.run(["completions", `--complete=${typed}`, "--", ...line]);
    return stdout
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((one) => one.split("\t")[0]);
  };
  expect(await offered("X", "task", "claim")).toEqual(["X-2"]);
  expect(await offered("X", "task", "show")).toEqual(["X-1", "X-2"]);
  expect(await offered("X", "task", "release")).toEqual(["X-1"]);
  await many.run(["task", "done", "X-1", "--agent", "A", "--json"]);
  await many.run(["task", "verify", "X-1", "--json"]);
  await many.run(["task", "reopen", "X-1", "--json"]);
  expect((await offered("X", "task", "claim")).sort()).toEqual(["X-1", "X-2"]);
  expect(await offered("Y", "task", "claim")).toEqual(["Y-1"]);
  expect(await offered("Ün", "task", "claim")).toEqual(["Ünï-Ж"]);
  expect(await offered("T-29", "task", "claim")).toHaveLength(10);
}, 60_000);

test("whatever is wrong, nothing is printed and nothing fails", async () => {
  using empty = sandbox();
  const calls: readonly [readonly string[], string][] = [
    [["completions", "--complete=", "--", "task", "claim"], "words\n"],
    [["completions", "--complete="], expect.stringMatching(/^words\ninit\t/) as unknown as string],
    [["completions", "--complete=", "--", "-C", "/nowhere", "task", "claim"], "words\n"],
  ];
  for (const [args, stdout] of calls) {
    expect(await empty.run(args)).toMatchObject({ exit: 0, stdout, stderr: "" });
  }
  empty.write(".lodestar/spec.yaml", "tasks: [this is no spec");
  empty.write(".lodestar/runtime.sqlite", "nor is this a database".repeat(100));
  const before = readdirSync(join(empty.path, ".lodestar"));
  expect(await empty.run(["completions", "--complete=", "--", "task", "claim"])).toMatchObject({
    exit: 0,
    stdout: "",
    stderr: "",
  });
  expect(await empty.run(["completions", "--complete=", "--", "task", "list", "--agent"])).toMatchObject({
    exit: 0,
    stderr: "",
  });
  expect(readdirSync(join(empty.path, ".lodestar"))).toEqual(before);
});

test("completing writes nothing", async () => {
  using fresh = sandbox();
  fresh.write(".lodestar/spec.yaml", SPEC);
  for (const words of [
    ["task", "claim"],
    ["task", "list", "--label"],
    ["task", "next", "--agent"],
  ]) {
    expect((await fresh.run(["completions", "--complete=", "--", ...words])).exit).toBe(0);
  }
  expect(readdirSync(join(fresh.path, ".lodestar"))).toEqual(["spec.yaml"]);
  // Readers of a WAL leave their marks in its -shm; nothing else may change.
  const contents = () =>
    readdirSync(join(here.path, ".lodestar"))
      .filter((name) => !name.endsWith("-shm"))
      .map((name) => [name, Bun.hash(readFileSync(join(here.path, ".lodestar", name)))]);
  const before = contents();
  await here.run(["completions", "--complete=", "--", "task", "done"]);
  await here.run(["completions", "--complete=", "--", "task", "claim"]);
  expect(contents()).toEqual(before);
});

const here_is = (name: string) => {
  const path = Bun.which(name);
  if (path === null) console.log(`note: ${name} is not installed; its completions were not tried`);
  return path;
};

describe.skipIf(here_is("bash") === null)("bash", () => {
  /** The words as bash splits them: at spaces, and at each = and :. */
  const splits = (line: string) =>
    line
      .split(" ")
      .flatMap((word, i, all) =>
        word === "" && i < all.length - 1 ? [] : word === "" ? [""] : word.split(/([:=])/).filter((one) => one !== ""),
      );
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const complete = (line: string) => {
    const words = splits(line);
    const out = shell(
      ["bash", "--norc", "--noprofile", "-c"],
      `set -u; eval "$(lodestar completions bash)"
       COMP_LINE=${quoted(line)} COMP_POINT=\${#COMP_LINE} COMP_WORDS=(${words.map(quoted).join(" ")}) COMP_CWORD=${words.length - 1}
       _lodestar; for word in "\${COMPREPLY[@]+"\${COMPREPLY[@]}"}"; do printf '%s\\n' "$word"; done`,
    );
    return out === "" ? [] : out.trimEnd().split("\n");
  };

  test("completes commands, options, values and ids", () => {
    for (const [line, words] of CASES) {
      // The piece before the last : stays in the line.
      expect({ line, offered: complete(line).sort() }).toEqual({ line, offered: [...words].sort() });
    }
  }, 60_000);

  test("words with = and : are whole, whatever bash makes of them", () => {
    expect(complete("lodestar task list --status=d").sort()).toEqual(["deleted", "done"]);
    expect(complete("lodestar task list --status=")).toHaveLength(6);
    expect(complete("lodestar task list --label area:w")).toEqual(["web"]);
    expect(complete("lodestar task list --label=area:").sort()).toEqual(["cli", "web"]);
    expect(complete("lodestar task list --label=area:web --status re")).toEqual(["ready"]);
  });

  test("files where a file is meant", () => {
    expect(complete("lodestar task import not")).toEqual(["notes one.txt"]);
    expect(complete("lodestar -C fol")).toEqual([]);
    expect(complete("lodestar task list -C fol")).toEqual(["folder"]);
  });

  test("the function is registered", () => {
    expect(shell(["bash", "--norc", "-c"], `eval "$(lodestar completions bash)"; complete -p lodestar`)).toBe(
      "complete -F _lodestar lodestar\n",
    );
  });
});

describe.skipIf(here_is("fish") === null)("fish", () => {
  const complete = (line: string) => {
    const quoted = `'${line.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
    const out = shell(["fish", "--no-config", "-c"], `lodestar completions fish | source; complete -C ${quoted}`);
    return out === "" ? [] : out.trimEnd().split("\n");
  };

  test("completes commands, options, values and ids", () => {
    for (const [line, words] of CASES) {
      const offered = complete(line).map((one) => one.split("\t")[0]);
      expect({ line, offered: offered.sort() }).toEqual({ line, offered: [...words].sort() });
    }
  }, 120_000);

  test("shows what each word is", () => {
    expect(complete("lodestar task cla")).toEqual([
      "claim\tClaim tasks: the exclusive right to work on them for a while",
    ]);
    expect(complete("lodestar task list --status=ver").map((one) => one.split("\t")[0])).toEqual(["--status=verified"]);
    expect(complete("lodestar task import not").map((one) => one.split("\t")[0])).toEqual(["notes one.txt"]);
  });
});

describe.skipIf(here_is("zsh") === null)("zsh", () => {
  /** Types keys into an interactive zsh of its own, and gives back the line that it then holds, and all that it showed. */
  const type = (keys: string, tabs = 1) => {
    const out = shell(
      ["zsh", "-f", "-c"],
      `zmodload zsh/zpty
       zpty inner 'TERM=dumb zsh -f -i'
       send() { zpty -w inner "$1" }
       # Reads until the inner shell says that it is there.
       until_seen() { local all= part; while [[ $all != *"$1"* ]]; do zpty -r inner part || return; all+=$part; done; REPLY=$all }
       send 'PS1= PS2= RPS1=; unset zle_bracketed_paste; LISTMAX=1000'
       send 'autoload -Uz compinit && compinit -u -D; eval "$(lodestar completions zsh)"'
       send 'say() { print -r -- "LINE<$BUFFER>" }; zle -N say; bindkey "^X" say; bindkey "^I" complete-word; print -r -- RE""ADY'
       until_seen READY
       zpty -w -n inner $'${keys.replaceAll("'", "\\'")}${"\\t".repeat(tabs)}\\x18'
       until_seen 'LINE<'; all=$REPLY
       while [[ $all != *'LINE<'*'>'* ]]; do zpty -r inner part || break; all+=$part; done
       print -r -- "$all"
       zpty -d inner`,
    );
    return { line: /LINE<([^>]*)>/.exec(out)?.[1], shown: out };
  };

  test("completes commands, options and values", () => {
    expect(type("lodestar task cla").line).toBe("lodestar task claim ");
    expect(type("lodestar task list --stat").line).toBe("lodestar task list --status ");
    expect(type("lodestar task list --status=ver").line).toBe("lodestar task list --status=verified ");
  }, 60_000);

  test("completes ids, and shows what each is", () => {
    expect(type("lodestar task claim ").line).toBe("lodestar task claim AUTH-1 ");
    expect(type("lodestar task done ").line).toBe("lodestar task done AUTH-2 ");
    expect(type("lodestar task list --label area:w").line).toBe("lodestar task list --label area:web ");
    expect(type("lodestar task show A", 2).shown).toContain("AUTH-2  -- ready: Log out $(touch pwned) `touch pwned`");
  }, 60_000);

  test("files where a file is meant", () => {
    expect(type("lodestar task import not").line).toBe("lodestar task import notes\\ one.txt ");
  }, 60_000);

  test("the file can stand in a folder of $fpath", () => {
    expect(
      readFileSync(join(import.meta.dir, "..", "..", "src", "commands", "setup", "completion-scripts.ts"), "utf8"),
    ).toContain("const ZSH = `#compdef lodestar\n");
  });
});

describe("PowerShell", () => {
  test("its script has the form of a native completer (Debian has no PowerShell to try it; `bun run test:clients` parses it)", async () => {
    const { stdout } = await here.run(["completions", "powershell"]);
    expect(stdout).toContain("Register-ArgumentCompleter -Native -CommandName lodestar -ScriptBlock {");
    expect(stdout).toContain("param($wordToComplete, $commandAst, $cursorPosition)");
    expect(stdout).toContain("[System.Management.Automation.CompletionResult]::new(");
    for (const [open, close] of ["{}", "()", "[]"]) {
      expect(stdout.split(open ?? "").length).toBe(stdout.split(close ?? "").length);
    }
    expect(stdout).not.toMatch(/Invoke-Expression|\biex\b/);
  });
});

test("no script evaluates what it is told", async () => {
  for (const name of ["bash", "zsh", "fish"]) {
    const { stdout } = await here.run(["completions", name]);
    expect(stdout).not.toMatch(/\beval\b|compgen -W|_arguments/);
  }
});
