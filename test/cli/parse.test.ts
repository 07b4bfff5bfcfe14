import { describe, expect, test } from "bun:test";
import { call } from "./house.ts";

/** Reads a line as the shell does, as far as these tests go: words, and single quotes. */
const words = (line: string) =>
  [...line.matchAll(/(?:[^\s']|'[^']*')+/g)].map(([word]) => word.replaceAll(/'([^']*)'/g, "$1"));

describe("options become input:", () => {
  const cases: readonly (readonly [string, Record<string, unknown>])[] = [
    ["task claim F1", { task_ids: ["F1"] }],
    ["task claim F1 F2", { task_ids: ["F1", "F2"] }],
    ["task claim F1 --ttl 1h", { task_ids: ["F1"], ttl: "1h" }],
    ["task claim F1 --ttl=1h", { task_ids: ["F1"], ttl: "1h" }],
    ["task claim F1 -t 1h", { task_ids: ["F1"], ttl: "1h" }],
    ["task claim -t 1h F1", { task_ids: ["F1"], ttl: "1h" }],
    ["task -t 1h claim F1", { task_ids: ["F1"], ttl: "1h" }],
    ["-t 1h task claim F1", { task_ids: ["F1"], ttl: "1h" }],
    ["--ttl 1h --label task task claim F1", { task_ids: ["F1"], ttl: "1h", label: ["task"] }],
    ["--force task claim F1", { task_ids: ["F1"], force: true }],
    ["--no-context task claim F1", { task_ids: ["F1"], context: false }],
    ["task claim F1 --context", { task_ids: ["F1"], context: true }],
    ["task claim F1 --no-force", { task_ids: ["F1"], force: false }],
    ["task claim F1 --force --force", { task_ids: ["F1"], force: true }],
    ["task claim F1 --label a --label b", { task_ids: ["F1"], label: ["a", "b"] }],
    ["task claim F1 --label a --label=b", { task_ids: ["F1"], label: ["a", "b"] }],
    ["task claim F1 --priority -5", { task_ids: ["F1"], priority: -5 }],
    ["task claim F1 --priority=-5", { task_ids: ["F1"], priority: -5 }],
    ["task claim F1 --severity handoff", { task_ids: ["F1"], severity: "handoff" }],
    ["task claim F1 --wait 90", { task_ids: ["F1"], wait: "90" }],
    ["task claim F1 --ttl 1h --ttl 1h", { task_ids: ["F1"], ttl: "1h" }],
    ["task claim F1 --note '- first point'", { task_ids: ["F1"], note: "- first point" }],
    ["task claim F1 --note=--json", { task_ids: ["F1"], note: "--json" }],
    ["task claim F1 --note 'a=b'", { task_ids: ["F1"], note: "a=b" }],
    ["task claim F1 --note='a=b'", { task_ids: ["F1"], note: "a=b" }],
    ["task claim -- --odd -t", { task_ids: ["--odd", "-t"] }],
    ["task claim F1 -- F2", { task_ids: ["F1", "F2"] }],
    ["task claim -5", { task_ids: ["-5"] }],
    ["task claim F1 --dev", { task_ids: ["F1"], dev: true }],
    ["task claim F1 -a A1", { task_ids: ["F1"], agent_id: "A1" }],
    ["--agent A1 task claim F1", { task_ids: ["F1"], agent_id: "A1" }],
    ["task claim help", { task_ids: ["help"] }],
    ["task run F1 -- make -j 2 --json", { task_id: "F1", command: ["make", "-j", "2", "--json"] }],
    ["task run --next -- make", { next: true, command: ["make"] }],
    ["task run F1 make", { task_id: "F1", command: ["make"] }],
  ];
  test.each(cases)("%s", async (line, input) => {
    const position = line.indexOf(" -- ");
    const json = position < 0 ? `${line} --json` : `${line.slice(0, position)} --json${line.slice(position)}`;
    const { data, error } = (await call(words(json))).json;
    expect(error).toBeUndefined();
    expect(data).toEqual(input);
  });
});

describe("a call that is wrong is refused with exit status 2:", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["tsk list", 'Unknown command "tsk". Did you mean `lodestar task`?'],
    ["claim F1", 'Unknown command "claim". Did you mean `lodestar task claim`?'],
    ["task clam F1", 'Unknown command "clam" of `lodestar task`. Did you mean `lodestar task claim`?'],
    ["task frobnicate", 'Unknown command "frobnicate" of `lodestar task`.'],
    ["frobnicate --odd", 'Unknown command "frobnicate".'],
    ["msg markread defect", 'Unknown command "markread" of `lodestar msg`. Did you mean `lodestar msg mark-read`?'],
    ["msg mark_read defect", 'Unknown command "mark_read" of `lodestar msg`. Did you mean `lodestar msg mark-read`?'],
    ["status now", 'Unexpected argument "now".'],
    ["task claim F1 --lable a", "Unknown option --lable for `lodestar task claim`. Did you mean --label?"],
    ["task claim F1 -json", "Unknown option -json for `lodestar task claim`. Did you mean --json?"],
    ["task claim F1 -t5", "Unknown option -t5 for `lodestar task claim`. Did you mean -t 5?"],
    ["task claim F1 -x", "Unknown option -x for `lodestar task claim`."],
    ["task list -a A1", "Unknown option -a for `lodestar task list`. Did you mean --agent?"],
    [
      "task done --task-id F1",
      "Unknown option --task-id for `lodestar task done`: it is given by position, `lodestar task done TASK_ID`.",
    ],
    [
      "task list --idempotency-key k",
      "Unknown option --idempotency-key for `lodestar task list`: only commands that write take one.",
    ],
    ["task --bogus", "Unknown option --bogus for `lodestar task`."],
    ["--bogus", "Unknown option --bogus for `lodestar status`."],
    ["task claim F1 --label", "--label needs a value."],
    ["task claim F1 --label --force", "--label needs a value (a value that begins with a dash: --label=--force)."],
    ["task claim F1 --label -- x", "--label needs a value."],
    ["task claim F1 --label=", "--label must not be empty."],
    ["task claim ''", "An argument is empty."],
    ["task claim F1 --agent=", "--agent must not be empty."],
    ["task claim F1 --note=", "--note must not be empty."],
    ["task claim F1 --force=yes", "--force takes no value."],
    ["task claim F1 --force --no-force", "--force and --no-force contradict each other."],
    ["task claim F1 --priority high", '--priority must be a whole number, not "high".'],
    ["task claim F1 --priority 1.5", '--priority must be a whole number, not "1.5".'],
    ["task claim F1 --priority -11", "--priority must be at least -10, not -11."],
    ["task claim F1 --priority 99999999999999999999", '--priority must be a whole number, not "99999999999999999999".'],
    [
      "task claim F1 --severity warnin",
      '--severity must be one of info, warning, handoff, blocker, not "warnin". Did you mean "warning"?',
    ],
    ["task claim F1 --wait soon", '--wait must be a duration such as 90s, 15m or 1h30m, not "soon".'],
    ["task claim F1 --ttl 1h --ttl 2h", '--ttl was given twice, as "1h" and as "2h".'],
    ["task claim F1 --ttl 1h -t 2h", "--ttl and -t were both given; only one can count."],
    ["--agent A1 task claim F1 --agent A2", '--agent was given twice, as "A1" and as "A2".'],
    ["task done F1 F2", 'Unexpected argument "F2".'],
    ["task done -- F1 F2", 'Unexpected argument "F2".'],
    ["task done", "Missing TASK_ID."],
    ["task list --fields id", "--fields needs --json."],
    ["task done F1 --note - --note-file x", "--note and --note-file were both given; only one can count."],
    ["task --schema", "Only commands have a schema, groups have none."],
  ];
  test.each(cases)("%s", async (line, message) => {
    const answer = await call(words(line));
    expect(answer.stderr.split("\n")[0]).toBe(`Error: ${message}`);
    expect(answer.stdout).toBe("");
    expect(answer.exit).toBe(2);
  });

  test("an option without its value does not swallow --json", async () => {
    const answer = await call("task claim F1 --label --json");
    expect(answer.exit).toBe(2);
    expect(answer.stderr).toBe("");
    expect(answer.json.error.code).toBe("USAGE");
  });

  test("a TTL that is none has a code of its own", async () => {
    const answer = await call("task claim F1 --ttl soon --json");
    expect(answer.exit).toBe(2);
    expect(answer.json.error.code).toBe("INVALID_TTL");
  });

  test("many unclear options cost no time", async () => {
    const odd = Array.from({ length: 40 }, (_, i) => [`--odd${i}`, "x"]).flat();
    expect((await call([...odd, "task", "claim", "F1"])).exit).toBe(2);
  });
});

describe("long text", () => {
  test("comes from standard input for -", async () => {
    const answer = await call("task claim F1 --note - --json", { stdin: "one\ntwo\n" });
    expect(answer.json.data.note).toBe("one\ntwo");
  });

  test("comes from a file, looked up from --repo", async () => {
    const answer = await call("-C sub task claim F1 --note-file n.txt --json", {
      files: { "sub/n.txt": "from a file\r\n" },
    });
    expect(answer.json.data.note).toBe("from a file");
  });

  test("from a file that is not there is an error that names it", async () => {
    const answer = await call("task claim F1 --note-file n.txt");
    expect(answer.stderr).toStartWith('Error: --note-file: "n.txt" cannot be read (ENOENT).');
    expect(answer.exit).toBe(3);
  });
});

describe("what every command takes reaches the world:", () => {
  test("--repo, --agent and --idempotency-key, before and after the command", async () => {
    const { world } = await call("-C there task claim F1 --agent A1 --idempotency-key k --json");
    expect(world).toMatchObject({ cwd: "/here", repo: "there", agent: "A1", idempotency_key: "k", interactive: false });
  });

  test("--agent is accepted by commands that have no use for it", async () => {
    const answer = await call("task list --agent A1 --json");
    expect(answer.json.ok).toBe(true);
    expect(answer.world?.agent).toBe("A1");
  });
});
