import { describe, expect, test } from "bun:test";
import { call } from "./house.ts";

const LINES = [
  "--help",
  "help",
  "task --help",
  "help msg",
  "task claim --help",
  "task done -h",
  "help task run",
  "task claim --explain",
];

test.each(LINES)("lodestar %s fits 80 columns and ends well", async (line) => {
  const { stdout, stderr, exit } = await call(line);
  expect(exit).toBe(0);
  expect(stderr).toBe("");
  for (const text of stdout.split("\n")) {
    expect(Bun.stringWidth(text)).toBeLessThanOrEqual(80);
    expect(text).toBe(text.trimEnd());
  }
});

describe("help", () => {
  test("of a command shows usage, options, examples and errors", async () => {
    expect((await call("task claim --help")).stdout).toMatchInlineSnapshot(`
      "Claim a task with a lease

      Usage: lodestar task claim TASK_ID… [options]

      Arguments:
        TASK_ID…  Tasks to claim

      Options:
        -a, --agent ID              Who is acting (or LODESTAR_AGENT)
        -t, --ttl DUR               How long the lease lasts, such as 90s, 15m, 1h30m
            --wait DUR              Duration such as 90s, 15m, 1h30m
            --note TEXT             What the next agent should know (- reads it from
                                    standard input, --note-file PATH from a file)
        -f, --force                 Claim in spite of overlapping locks
            --no-context            Do not hand over the PRD context
            --label LABEL           Only tasks with this label (repeatable)
            --priority N            Lower comes first [default: 100]
            --severity info|warning|handoff|blocker
            --idempotency-key KEY   The same key twice gives the first answer again

      Examples:
        lodestar task claim F001 --ttl 1h
            Claims F001 for an hour

      Errors, with exit status:
        TASK_NOT_FOUND (3), ALREADY_CLAIMED (4)

      Options of every command: \`lodestar --help\`. What it does: --explain
      "
    `);
  });

  test("of the program shows commands, groups and the options of every command", async () => {
    expect((await call("--help")).stdout).toMatchInlineSnapshot(`
      "Task coordination for many coding agents in one Git repository

      Usage: lodestar COMMAND [arguments] [options]

      Commands:
        status  Show where things stand

      Groups of commands:
        task  Work on tasks
        msg   Write to each other

      Options of every command:
            --json                 Answer with one JSON envelope
            --fields FIELDS        With --json: only these fields of each item, such
                                   as id,title
        -C, --repo DIR             Work as if started in this directory
            --agent ID             Who is acting (or LODESTAR_AGENT)
            --idempotency-key KEY  The same key twice gives the first answer again
            --schema               Print the JSON Schema of input and output
            --explain              Say what the command does, changes and may refuse
            --no-color             Plain text (or NO_COLOR)
            --quiet                Only the result: no warnings, no next steps
        -h, --help                 Show help
        -v, --version              Show the version

      Examples:
        lodestar init
            Set up this repository
        lodestar agent join --name Ada
            Register, and get an agent id
        lodestar task next --claim --agent ID
            Take the next task
        lodestar task done TASK --agent ID
            Finish it

      More: \`lodestar COMMAND --help\`
      "
    `);
  });

  test("comes before complaints about the rest of the line", async () => {
    expect((await call("task claim --odd --help")).stdout).toStartWith("Claim a task with a lease\n");
  });

  test("does not come for a command that is not there", async () => {
    expect((await call("task clam --help")).exit).toBe(2);
  });

  test("hides what is only accepted", async () => {
    expect((await call("task claim --help")).stdout).not.toContain("--dev");
  });

  test("as data", async () => {
    const { data } = (await call("task done --help --json")).json;
    expect(data.options.map(({ option }: { option: string }) => option)).toEqual([
      "--agent",
      "--note",
      "--idempotency-key",
    ]);
  });
});
