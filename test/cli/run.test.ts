import { describe, expect, test } from "bun:test";
import packageJson from "../../package.json";
import { call } from "./house.ts";

describe("--json", () => {
  test("prints one envelope on one line, with at most one next action, and nothing else", async () => {
    const answer = await call("task claim F1 --agent A1 --json", { warnings: ["Careful."] });
    expect(answer.stderr).toBe("");
    expect(answer.stdout).toBe(
      `${JSON.stringify({
        ok: true,
        data: { agent_id: "A1", task_ids: ["F1"] },
        next: [{ intent: "task.done", cmd: "lodestar task done F1 --agent A1", description: "first" }],
        warnings: ["Careful."],
      })}\n`,
    );
  });

  test("is indented on a terminal", async () => {
    expect((await call("task list --json", { terminal: true })).stdout).toStartWith('{\n  "ok": true,');
  });

  test("holds for failures too", async () => {
    const answer = await call("msg mark-read ids --json");
    expect(answer.exit).toBe(3);
    expect(answer.stderr).toBe("");
    expect(Object.keys(answer.json)).toEqual(["ok", "error", "data", "next", "warnings"]);
    expect(answer.json.error).toEqual({
      code: "TASK_NOT_FOUND",
      message: "Two of three tasks are not there.",
      hint: "See the ids with `lodestar task list`.",
      retriable: false,
      details: { failed: [{ task_id: "F1", code: "TASK_NOT_FOUND", message: "There is no task F1." }] },
    });
  });
});

describe("--fields", () => {
  test("leaves these fields of each item, and the count", async () => {
    expect((await call("task list --json --fields id,claimed_by.agent_id")).json.data).toEqual({
      tasks: [{ id: "F1", claimed_by: { agent_id: "A1" } }, { id: "F2" }],
      count: 2,
    });
  });

  test("leaves an empty answer whole, because it says why", async () => {
    expect((await call("task list --none --json --fields id")).json.data).toEqual({
      tasks: [],
      count: 0,
      remaining: { blocked: 1 },
    });
  });

  test("applies to data itself where there are no items", async () => {
    expect((await call("task claim F1 --json --fields agent_id --agent A1")).json.data).toEqual({ agent_id: "A1" });
  });

  test("refuses a field that no answer has, before anything runs", async () => {
    const answer = await call("task list --json --fields id,claimed_by.agent");
    expect(answer.exit).toBe(2);
    expect(answer.world).toBeUndefined();
    expect(answer.json.error.message).toBe('--fields: there is no field "claimed_by.agent". Did you mean "agent_id"?');
  });
});

describe("a command that goes on", () => {
  test("answers one line of JSON each time", async () => {
    const { stdout, exit } = await call("task list --follow --json --fields id");
    expect(stdout).toBe('{"id":"F1"}\n{"id":"F2"}\n');
    expect(exit).toBe(0);
  });

  test("shows people each answer, on a terminal in the place of the one before", async () => {
    expect((await call("task list --follow")).stdout).toBe("F1\nF2\n");
    expect((await call("task list --follow", { terminal: true })).stdout).toBe(
      "\u001b[H\u001b[JF1\n\u001b[H\u001b[JF2\n",
    );
  });
});

describe("people", () => {
  test("get the result and next steps on standard output, warnings on standard error", async () => {
    const answer = await call("task claim F1", { warnings: ["Careful."] });
    expect(answer.stdout).toMatchInlineSnapshot(`
"Claimed task F1
  Lease: L1

Next steps:
  lodestar task done F1  first
  lodestar task done F1  second
  lodestar task done F1  third
"
`);
    expect(answer.stderr).toBe("Warning: Careful.\n");
  });

  test("get only the result with --quiet", async () => {
    const answer = await call("task claim F1 --quiet", { warnings: ["Careful."] });
    expect(answer.stdout).toBe("Claimed task F1\n  Lease: L1\n");
    expect(answer.stderr).toBe("");
  });

  test("get errors with a hint, and the places in a file, with nothing in them that acts on the terminal", async () => {
    const answer = await call("msg mark-read spec");
    expect(answer.exit).toBe(6);
    expect(answer.stdout).toBe("");
    expect(answer.stderr).toMatchInlineSnapshot(`
"Error: The spec has a problem.
  .lodestar/spec.yaml:3:5: status must be one ␛[31mof
Hint: Fix the lines named in details; \`lodestar doctor\` checks again.
"
`);
  });

  test("get colours on a terminal, unless they refuse them", async () => {
    const sequence = "\u001b[";
    const plain = await Promise.all([
      call("task list"),
      call("task list --no-color", { terminal: true }),
      call("task list", { terminal: true, env: { NO_COLOR: "1" } }),
      call("task list", { terminal: true, env: { LODESTAR_NO_COLOR: "1" } }),
      call("task list", { terminal: true, env: { TERM: "dumb" } }),
    ]);
    for (const { stdout } of plain) expect(stdout).not.toContain(sequence);
  });

  test("a defect is told without a stack trace, with exit status 70", async () => {
    const answer = await call("msg mark-read defect");
    expect(answer.exit).toBe(70);
    expect(answer.stderr).toStartWith("Error: Lodestar failed unexpectedly: undefined is not a function\nHint: ");
    expect(answer.stderr).not.toContain(" at ");
  });

  test("the stack trace is there for who asks", async () => {
    expect((await call("msg mark-read defect", { env: { LODESTAR_DEBUG: "1" } })).stderr).toContain("house.ts");
  });
});

describe("without a command:", () => {
  test("lodestar shows the status", async () => {
    expect((await call("")).stdout).toBe("Status\n\nNothing here\n");
    expect((await call("--json")).json.data).toEqual({ initialized: false });
  });

  test("a group shows its commands", async () => {
    const answer = await call("task");
    expect(answer.exit).toBe(0);
    expect(answer.stdout).toContain("task claim  Claim a task with a lease\n");
    expect((await call("msg --json")).json.data).toEqual({
      command: "lodestar msg",
      purpose: "Write to each other",
      commands: [{ command: "msg mark-read", purpose: "Fail" }],
    });
  });
});

describe("about the program:", () => {
  test("--version", async () => {
    expect((await call("--version")).stdout).toBe(`lodestar ${packageJson.version}\n`);
    expect((await call("task list -v")).stdout).toBe(`lodestar ${packageJson.version}\n`);
    expect((await call("--version --json")).json.data).toEqual({ version: packageJson.version });
  });

  test("--schema touches no repository and needs no arguments", async () => {
    const answer = await call("task claim --schema");
    expect(answer.world).toBeUndefined();
    const { input, output } = answer.json;
    expect(input.required).toEqual(["task_ids"]);
    expect(output.type).toBe("object");
    expect((await call("task claim --schema --json")).json.data).toEqual({ input, output });
  });

  test("--explain in words and as data", async () => {
    expect((await call("task claim --explain")).stdout).toMatchInlineSnapshot(`
"lodestar task claim

Claim a task with a lease

Grants you the task until the lease expires.

Nobody else can claim it meanwhile.

Writes; --idempotency-key makes trying again safe.

Errors, with exit status:
  TASK_NOT_FOUND (3)   See the ids with \`lodestar task list\`.
  ALREADY_CLAIMED (4)  Take other work with \`lodestar task next --claim\`, or
                       wait for this with --wait.

Examples:
  lodestar task claim F001 --ttl 1h
      Claims F001 for an hour
"
`);
    const { data } = (await call("task claim --explain --json")).json;
    expect(data).toMatchObject({
      command: "lodestar task claim",
      purpose: "Claim a task with a lease",
      effect: "write",
    });
    expect((await call("task --explain --json")).json.data.commands).toHaveLength(4);
  });
});
