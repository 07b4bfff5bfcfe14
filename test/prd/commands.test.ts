/** Product context from the outside: the compiled program, the document of a real project, Git, people and agents. */
import { describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, sandbox } from "../support/sandbox.ts";
import { edit, PRD } from "./document.ts";

const THREE = ["#goals", "#lease-semantics", "#output-design"];

/** A repository with the document, and a task for each of three of its sections: G, L and O. */
async function planned(): Promise<Sandbox> {
  const here = sandbox();
  here.write("PRD.md", PRD);
  here.git("add", "PRD.md");
  here.git("commit", "-qm", "requirements");
  await ok(here, "init");
  await ok(here, "agent", "join", "--id", "ADA");
  const tasks = THREE.map((anchor, i) => ({ id: "GLO"[i], title: anchor, prd: { source: "PRD.md", refs: [anchor] } }));
  here.write("plan.json", JSON.stringify(tasks));
  await ok(here, "task", "import", "plan.json");
  return here;
}

async function ok(here: Sandbox, ...args: string[]) {
  const { exit, json } = await here.run([...args, "--json"]);
  expect({ args, exit, error: json.error }).toEqual({ args, exit: 0, error: undefined });
  return json;
}

interface Judged {
  readonly task_id: string;
  readonly drift: string;
  readonly sections: readonly { readonly now?: string }[];
}

/** `L edited`, `G moved #aims` */
const words = (tasks: readonly Judged[]) =>
  tasks.map(({ task_id, drift, sections }) => [task_id, drift, ...sections.flatMap(({ now }) => now ?? [])].join(" "));

describe("three tasks on the real document", () => {
  test("each edit drifts exactly the tasks that it concerns; accepting ends it, and touches no other byte", async () => {
    using here = await planned();
    const check = async () => {
      const { exit, json } = await here.run(["prd", "check", "--json"]);
      return [exit, ...words(json.data.tasks)];
    };
    expect(await check()).toEqual([0, "G same", "L same", "O same"]);
    here.write("PRD.md", edit("Humans become", "People become"));
    expect(await check()).toEqual([0, "G same", "L same", "O same"]);
    here.write("PRD.md", edit("- Renew: only", "- Renew: just").replace("## Goals\n", "## Aims\n"));
    expect(await check()).toEqual([1, "G moved #aims", "L edited", "O same"]);
    const { json } = await here.run(["prd", "check", "--json"]);
    expect(json.error).toMatchObject({ code: "DRIFTED", details: { failed: ["L"] } });
    expect(json.next[0].cmd).toBe("lodestar prd show L --diff");
    const before = readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
    const accepted = await ok(here, "prd", "accept", "L", "O", "--agent", "ADA");
    expect(accepted.data).toMatchObject({ accepted: [{ task_id: "L" }, { task_id: "O" }], count: 2 });
    // Only that one moved is told, and fails where links must hold.
    expect(await check()).toEqual([0, "G moved #aims", "L same", "O same"]);
    expect((await here.run(["prd", "check", "--strict", "--json"])).exit).toBe(1);
    await ok(here, "prd", "accept", "G");
    expect(await check()).toEqual([0, "G same", "L same", "O same"]);
    expect((await ok(here, "prd", "accept", "G")).data).toEqual({ accepted: [], unchanged: ["G"], count: 0 });
    const after = readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
    const lines = (text: string) =>
      text.split("\n").filter((line) => !/^\s+(?:hash|prd_hash|updated_at|- anchor|anchor):? /.test(line));
    expect(lines(after)).toEqual(lines(before));
    expect(after).toContain("#aims");
    const { data } = await ok(here, "events", "--type", "prd.accepted");
    expect(data.events.map(({ task_id }: { task_id: string }) => task_id)).toEqual(["L", "O", "G"]);
  });

  test("a section that is gone: told with its text of then, and taken out only on demand", async () => {
    using here = await planned();
    here.write("PRD.md", PRD.replace(/### Output design[\s\S]*?(?=---\n\n## Smart)/, ""));
    const { data } = await ok(here, "prd", "show", "O", "--diff");
    expect(data.sections[0]).toMatchObject({ anchor: "#output-design", drift: "missing" });
    expect(data.sections[0].diff).toContain('-  "ok": true,\n');
    expect(data.sections[0].commit).toBe(here.git("rev-parse", "HEAD").trim());
    const refused = await here.run(["prd", "accept", "O", "L", "--json"]);
    expect(refused.json.error).toMatchObject({ code: "ANCHOR_NOT_FOUND", details: { failed: [{ task_id: "O" }] } });
    await ok(here, "prd", "accept", "O", "--drop-missing");
    expect((await ok(here, "task", "show", "O")).data.prd.refs).toBeUndefined();
  });

  test("then is found in the history: behind other commits, on another branch, and where the file as a whole was never committed", async () => {
    using here = await planned();
    here.write("PRD.md", edit("- Renew: only", "- Renew: draft"));
    await ok(
      here,
      "task",
      "create",
      "--id",
      "DRAFT",
      "--title",
      "x",
      "--prd-source",
      "PRD.md",
      "--prd-ref",
      "#lease-semantics",
      "--prd-ref",
      "#goals",
    );
    for (const word of ["first", "second"]) {
      here.write("PRD.md", edit("- Renew: only", `- Renew: ${word}`).replace("Humans become", `${word} become`));
      here.git("commit", "-qam", word);
    }
    const { data } = await ok(here, "prd", "show", "L", "--diff");
    expect(data.sections[0].diff).toContain("\n-- Renew: only");
    expect(data.sections[0].diff).toContain("\n+- Renew: second");
    // Rewound: the commits are on the other branch alone.
    here.git("branch", "other");
    here.git("checkout", "-q", "--orphan", "bare");
    here.git("rm", "-qf", "PRD.md");
    here.write("PRD.md", "# Empty\n");
    here.git("add", "PRD.md");
    here.git("commit", "-qm", "anew");
    const draft = await ok(here, "prd", "show", "DRAFT", "--diff");
    expect(draft.data.sections[0].content).toBeUndefined();
    // What it says on leases was never committed; what it says on goals was, in another state of the file.
    expect(draft.data.sections.map((section: { diff?: string }) => section.diff !== undefined)).toEqual([false, true]);
    expect(draft.warnings).toEqual([expect.stringContaining("#lease-semantics")]);
  });

  test("the excerpt is then where it holds the section, also without Git", async () => {
    using here = sandbox({ git: false });
    here.write("PRD.md", "# A\n\nOne.\n\n## B\n\nTwo.\n");
    await ok(here, "init");
    await ok(
      here,
      "task",
      "create",
      "--id",
      "X",
      "--title",
      "x",
      "--prd-source",
      "PRD.md",
      "--prd-ref",
      "#b",
      "--prd-excerpt",
      "Two.",
    );
    here.write("PRD.md", "# A\n\nOne.\n\n## B\n\nThree.\n");
    const { data } = await ok(here, "prd", "show", "X", "--diff");
    expect(data.sections[0].diff).toContain("-Two.\n");
    here.write("PRD.md", "# A\n\nOne.\n\n## B\n\nThree.\n");
    await ok(here, "task", "create", "--id", "Y", "--title", "y", "--prd-source", "PRD.md", "--prd-ref", "#b");
    here.write("PRD.md", "# A\n\nOne.\n\n## B\n\nFour.\n");
    // Nobody knows what it was: at least what it is.
    const unknown = await ok(here, "prd", "show", "Y", "--diff");
    expect(unknown.data.sections[0]).toEqual({ anchor: "#b", drift: "edited", title: "B", content: "## B\n\nFour." });
    expect(unknown.warnings).toHaveLength(1);
  });
});

test("status counts again whenever the document, the spec or an outcome changed, however often it was asked", async () => {
  using here = await planned();
  const drifted = async (): Promise<number> => {
    // Longer than files' times are grained: from now on the key of the document vouches for it.
    await Bun.sleep(60);
    const counts = [await ok(here, "status"), await ok(here, "status")].map(({ data }) => data.drifted ?? 0);
    expect(counts[0]).toBe(counts[1]);
    return counts[0];
  };
  expect(await drifted()).toBe(0);
  here.write("PRD.md", edit("- Renew: only", "- Renew: just"));
  expect(await drifted()).toBe(1);
  await ok(here, "prd", "accept", "L");
  expect(await drifted()).toBe(0);
  here.write("PRD.md", PRD);
  expect(await drifted()).toBe(1);
  await ok(here, "prd", "accept", "L");
  expect(await drifted()).toBe(0);
  here.git("rm", "-q", "PRD.md");
  expect(await drifted()).toBe(3);
  await ok(here, "task", "claim", "G", "--agent", "ADA");
  await ok(here, "task", "done", "G", "--verify", "--agent", "ADA");
  expect(await drifted()).toBe(2);
  await ok(here, "task", "delete", "L");
  expect(await drifted()).toBe(1);
  here.write("PRD.md", PRD);
  expect(await drifted()).toBe(0);
});

describe("a claim", () => {
  test("hands over the sections within 1 200 bytes, warns of drift, and records it once", async () => {
    using here = await planned();
    const calm = await ok(here, "task", "claim", "O", "--agent", "ADA");
    expect(calm.warnings).toEqual([]);
    expect(calm.data.context.prd_sections).toEqual([
      { anchor: "#output-design", content: expect.stringMatching(/^### Output design[\s\S]*```$/) },
    ]);
    here.write(
      "PRD.md",
      edit("- Renew: only", "- Renew: just").replace("- Expiry:", `- ${"Long words. ".repeat(200)}\n- Expiry:`),
    );
    const drifted = await ok(here, "task", "claim", "L", "--agent", "ADA");
    expect(drifted.warnings).toEqual([
      "PRD.md has changed since L was written: #lease-semantics edited (lodestar prd show L --diff)",
    ]);
    const { context } = drifted.data;
    expect(context).toMatchObject({
      prd_sections: [{ anchor: "#lease-semantics", drift: "edited" }],
      truncated: "task context",
    });
    expect(Buffer.byteLength(JSON.stringify(context))).toBeLessThanOrEqual(1200);
    await ok(here, "task", "claim", "L", "--agent", "ADA");
    const { data } = await ok(here, "events", "--type", "prd.drifted");
    expect(data.events).toHaveLength(1);
    expect((await ok(here, "status")).data.drifted).toBe(1);
    const bare = await ok(here, "task", "next", "--claim", "--agent", "ADA", "--another");
    expect(bare.data).toMatchObject({
      task_id: "G",
      context: { prd_source: "PRD.md", prd_sections: [{ anchor: "#goals" }] },
    });
  });

  test("is granted whatever is wrong with the document, and reads nothing outside the repository", async () => {
    using here = await planned();
    writeFileSync(join(here.base, "secret.md"), "# Secret\n\nhidden words\n\n## Goals\n\nhidden words\n");
    here.git("rm", "-q", "PRD.md");
    const gone = await ok(here, "task", "claim", "G", "--agent", "ADA");
    expect(gone.data.context.prd_sections).toEqual([{ anchor: "#goals", drift: "source_missing" }]);
    expect(gone.warnings).toEqual([expect.stringContaining("There is no PRD.md")]);
    symlinkSync(join(here.base, "secret.md"), join(here.path, "PRD.md"));
    const calls: Readonly<Record<string, number>> = {
      "task claim L --agent ADA": 0,
      "prd check": 1,
      status: 0,
      doctor: 1,
      "task context L": 6,
      "prd show L": 6,
      "prd accept L": 6,
      "prd outline PRD.md": 6,
      "prd coverage": 0,
    };
    for (const [call, expected] of Object.entries(calls)) {
      const { exit, stdout, stderr } = await here.run([...call.split(" "), "--json"]);
      expect(stdout + stderr).not.toContain("hidden words");
      expect({ call, exit }).toEqual({ call, exit: expected });
    }
    expect((await here.run(["prd", "check", "--json"])).json.data.tasks[0]).toMatchObject({
      drift: "source_missing",
      reason: "PRD.md lies outside the repository",
    });
  });
});

test("specs of Lodestar 1.0: the whole file counts until it is accepted, then the sections", async () => {
  using here = sandbox();
  here.write("PRD.md", PRD);
  here.git("add", ".");
  here.git("commit", "-qm", "x");
  const hash = new Bun.CryptoHasher("sha256").update(PRD).digest("hex");
  const task = `title: x\n    status: ready\n    prd:\n      source: PRD.md\n      refs:\n      - anchor: '#goals'\n        lines: null\n      excerpt: null\n      prd_hash: ${hash}`;
  here.write(".lodestar/spec.yaml", `project: {name: x}\ntasks:\n  A:\n    ${task}\n`);
  const drift = async () => (await here.run(["prd", "check", "--json"])).json.data.tasks[0].drift;
  expect(await drift()).toBe("same");
  here.write("PRD.md", edit("Humans become", "People become"));
  expect(await drift()).toBe("edited");
  expect((await ok(here, "prd", "show", "A", "--diff")).data.sections[0].diff).toBeUndefined();
  await ok(here, "prd", "accept", "A");
  expect(await drift()).toBe("same");
  here.write("PRD.md", edit("Humans become", "Agents become"));
  expect(await drift()).toBe("same");
  here.write("PRD.md", edit("## Goals\n", "## Aims\n"));
  expect(await drift()).toBe("moved");
});

test("task context cuts between paragraphs, never in a fence, and says what it left out", async () => {
  using here = await planned();
  const all = await ok(here, "task", "context", "O");
  expect(all.data.truncated).toBeUndefined();
  expect(all.data.prd_sections[0]).toMatchObject({ anchor: "#output-design", drift: "same" });
  const some = await ok(here, "task", "context", "O", "--max-chars", "200");
  expect(some.data.content).toBe(
    "### Output design\nEvery command returns a consistent envelope when `--json` is used:\n…",
  );
  expect(some.data).toMatchObject({ truncated: true, left_out: [{ part: "#output-design" }] });
  const again = await here.run(some.next[0].cmd.split(" ").slice(1).concat("--json"));
  expect(again.json.data).toEqual(all.data);
});

test("a hostile document acts on no terminal", async () => {
  using here = sandbox();
  here.write("PRD.md", `# A\u001b[2J\u202e {#a}\n\n\u001b]0;title\u0007${"x".repeat(1_000_000)}\r\n\n## B\u009b31m\n`);
  await ok(here, "init");
  await ok(here, "task", "create", "--id", "X", "--title", "x", "--prd-source", "PRD.md", "--prd-ref", "#a");
  here.write("PRD.md", "# C\u001b[2J {#a}\n\u001b[31m\n");
  for (const args of [
    ["prd", "outline", "PRD.md"],
    ["prd", "coverage"],
    ["prd", "check"],
    ["prd", "show", "X"],
    ["prd", "show", "X", "--diff"],
    ["task", "context", "X"],
    ["task", "claim", "X", "--agent", "ADA"],
    ["prd", "accept", "X"],
  ]) {
    if (args[1] === "claim") await ok(here, "agent", "join", "--id", "ADA");
    const { stdout, stderr } = await here.run(args);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not come through.
    expect(stdout + stderr).not.toMatch(/[\u001b\u0007\u009b\u202e]/);
  }
});

test("init --prd writes a prompt that keeps to its own rules, once", async () => {
  using here = sandbox();
  const { data } = await ok(here, "init", "--prd");
  expect(data.files_created).toContain(join(here.path, "PRD-PROMPT.md"));
  here.write("PRD-PROMPT.md", "mine");
  expect((await ok(here, "init", "--prd")).data.files_created).toEqual([]);
  expect(readFileSync(join(here.path, "PRD-PROMPT.md"), "utf8")).toBe("mine");
});

test("sections and excerpts need their document; --no-validate-prd lets what is missing pass", async () => {
  using here = sandbox();
  await ok(here, "init");
  expect((await here.run(["task", "create", "--title", "x", "--prd-ref", "#a", "--json"])).json.error.code).toBe(
    "USAGE",
  );
  const made = await ok(
    here,
    "task",
    "create",
    "--id",
    "X",
    "--title",
    "x",
    "--prd-source",
    "LATER.md",
    "--prd-ref",
    "a",
    "--no-validate-prd",
  );
  expect(made.data.prd).toEqual({ source: "LATER.md", refs: [{ anchor: "#a" }] });
  here.write("LATER.md", "# A\n");
  expect((await ok(here, "prd", "check")).data.tasks[0]).toMatchObject({
    drift: "same",
    reason: "Nothing was frozen of it",
  });
  expect((await here.run(["prd", "check", "--strict", "--json"])).exit).toBe(1);
  await ok(here, "prd", "accept", "X");
  await ok(here, "prd", "check", "--strict");
  here.write("docs/B.md", "# B\n");
  const below = await here.run(["task", "create", "--title", "y", "--prd-source", "B.md", "--json"], { cwd: "docs" });
  expect(below.json.data.prd.source).toBe("docs/B.md");
});
