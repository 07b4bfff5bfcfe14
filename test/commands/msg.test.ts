/** Messages as agents use them: both forms of addresses, receipts, filters, limits, words that are no commands. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { type Fleet, fleet, words } from "../support/fleet.ts";

interface Message {
  readonly message_id: string;
  readonly text: string;
  readonly read_by?: readonly string[];
}
const texts = ({ messages }: { readonly messages: readonly Message[] }) => messages.map(({ text }) => text);

async function staged(conventions = "{}"): Promise<Fleet> {
  const here = await fleet();
  here.tasks(["T", "U"], () => [], conventions);
  await here.join("ANN", "BEN");
  return here;
}

test("addresses: --task, --to and -t, with the words of 0.1 and of 1.0", async () => {
  using here = await staged();
  const toTask = ["--task T", "-t T", "--to T", "-t task:T", "--to task:T", "--task task:T"];
  for (const to of toTask)
    expect(await here.ok(`msg send ${to} --from ANN --text x`)).toMatchObject({ task_id: "T", from_agent_id: "ANN" });
  for (const to of ["-t agent:BEN", "--to agent:BEN"])
    expect(await here.ok(`msg send ${to} -f ANN -m x`)).toMatchObject({ to_agent_id: "BEN" });
  expect((await here.ok("msg thread task:T")).count).toBe(toTask.length);
  expect((await here.ok("msg inbox --agent BEN")).count).toBe(2);
  for (const wrong of ["", "--to agent:", "--to T --task T", "--task T --to agent:BEN"])
    await here.refused("USAGE", `msg send ${wrong} --from ANN --text x`);
  expect((await here.refused("TASK_NOT_FOUND", "msg send --to BEN --from ANN --text x")).hint).toContain("agent:BEN");
  expect((await here.refused("AGENT_NOT_FOUND", "msg send --to agent:EVE --from ANN --text x")).details.agent_id).toBe(
    "EVE",
  );
  await here.refused("AGENT_NOT_FOUND", "msg send --task T --from EVE --text x");
  await here.ok("agent leave BEN");
  await here.refused("AGENT_NOT_FOUND", "msg send --to agent:BEN --from ANN --text x");
  await here.refused("AGENT_NOT_FOUND", "msg send --task T --from BEN --text x");
});

test("the text: from an option, standard input or a file; at most 64 KiB, and not empty", async () => {
  using here = await staged();
  here.write("note.txt", "From a file\n- with a list\n");
  await here.ok("msg send --task T --from ANN --text-file note.txt");
  await here.ok("msg send --task T --from ANN --text -", { stdin: "From a pipe\n" });
  await here.ok(["msg", "send", "--task", "T", "--from", "ANN", "--text", "@file and --dashes"]);
  expect(texts(await here.ok("msg thread T"))).toEqual([
    "From a file\n- with a list",
    "From a pipe",
    "@file and --dashes",
  ]);
  const most = "x".repeat(65_536);
  await here.ok("msg send --task T --from ANN --text -", { stdin: most });
  await here.refused("USAGE", "msg send --task T --from ANN --text -", { stdin: `${most}x` });
  // Bytes count, not signs.
  const wide = await here.refused("USAGE", "msg send --task T --from ANN --text -", { stdin: "é".repeat(40_000) });
  expect(wide.details).toEqual({ bytes: 80_000, limit: 65_536 });
  await here.refused("USAGE", "msg send --task T --from ANN --text -", { stdin: " \n\t\n" });
  await here.refused("USAGE", ["msg", "send", "--task", "T", "--from", "ANN", "--text", ""]);
  await here.refused("USAGE", "msg send --task T --from ANN --text x --severity loud");
});

test("an inbox has what was said to its agent and in the threads of tasks that it holds; reading marks, once", async () => {
  using here = await staged();
  await here.ok("msg send --to agent:BEN --from ANN --text to-ben");
  await here.ok("msg send --task T --from ANN --text in-T");
  expect(await here.ok("msg inbox --agent BEN --unread-only --count")).toEqual({ count: 1 });
  expect((await here.ok("status --agent BEN")).messages).toEqual({ total: 2, unread: 1 });
  await here.ok("msg inbox --agent BEN --no-mark-as-read");
  expect((await here.ok("status --agent BEN")).messages.unread).toBe(1);
  expect(texts(await here.ok("msg inbox --agent BEN --unread-only"))).toEqual(["to-ben"]);
  expect(texts(await here.ok("msg inbox --agent BEN --unread-only"))).toEqual([]);
  expect(texts(await here.ok("msg inbox --agent BEN"))).toEqual(["to-ben"]);
  expect((await here.show("T", { env: { LODESTAR_AGENT: "BEN" } })).communication).toEqual({
    message_count: 1,
    unread: 1,
  });
  expect((await here.show("T", { env: { LODESTAR_AGENT: "ANN" } })).communication).toEqual({ message_count: 1 });
  const claim = await here.ok("task claim T --agent BEN");
  expect(claim.handoff).toMatchObject({ unread: 1, messages: [{ text: "in-T", from_agent_id: "ANN" }] });
  expect((await here.ok("task claim T --agent BEN")).handoff).toBeUndefined();
  await here.ok("msg send --task T --from ANN --text later");
  await here.ok("msg send --task T --from BEN --text own");
  expect(texts(await here.ok("msg inbox --agent BEN --unread-only --no-mark-as-read"))).toEqual(["later"]);
  expect((await here.ok("agent brief --agent BEN")).formatted_output).toContain(
    "1 unread message: lodestar msg inbox --agent BEN",
  );
  expect((await here.ok("msg mark-read --task T --agent BEN")).messages_marked).toBe(1);
  expect((await here.ok("agent brief --agent BEN")).formatted_output).not.toContain("unread");
  const shown = await here.ok("msg inbox --agent BEN --show-read-status");
  expect(shown.messages.map(({ text, read_by }: Message) => [text, read_by])).toEqual([
    ["own", undefined],
    ["later", ["BEN"]],
    ["in-T", ["BEN"]],
    ["to-ben", ["BEN"]],
  ]);
});

test("a long message is not handed over with the claim, but counted", async () => {
  using here = await staged();
  await here.ok("msg send --task T --from ANN --text -", { stdin: "x".repeat(5000) });
  const { stdout } = await here.run(words("task claim T --agent BEN"));
  expect(stdout).toContain("Unread messages (1)");
  expect(stdout).toContain("lodestar msg thread T --unread");
  expect((await here.ok("msg thread T --unread --agent BEN")).count).toBe(1);
});

test("filters come before the limit", async () => {
  using here = await staged();
  await here.join("CAT");
  for (const [from, text] of [
    ["ANN", "one"],
    ["CAT", "two"],
    ["CAT", "three"],
    ["CAT", "four"],
  ] as const)
    await here.ok(`msg send --to agent:BEN --from ${from} --text ${text}`);
  expect(texts(await here.ok("msg inbox --agent BEN --from ANN --limit 1 --no-mark-as-read"))).toEqual(["one"]);
  const page = await here.ok("msg inbox --agent BEN --from CAT --limit 2");
  expect(texts(page)).toEqual(["four", "three"]);
  expect(texts(await here.ok(`msg inbox --agent BEN --from CAT --limit 2 --cursor ${page.cursor}`))).toEqual(["two"]);
  expect(await here.ok("msg inbox --agent BEN --count --limit 1")).toEqual({ count: 4 });
  expect(await here.ok("msg inbox --agent BEN --count --from CAT --unread-only")).toEqual({ count: 0 });
  const [, second] = (await here.ok("msg inbox --agent BEN")).messages;
  expect(texts(await here.ok(`msg inbox --agent BEN --since ${second.created_at}`))).toContain("three");
  expect(texts(await here.ok(`msg inbox --agent BEN --until ${second.created_at}`))).not.toContain("four");
  for (const wrong of ["--since yesterday", "--until 7", "--cursor 12", "--cursor c0", "--limit 0", "--limit 1001"])
    await here.refused("USAGE", `msg inbox --agent BEN ${wrong}`);
});

test("the cursor of a thread goes on where it ended, as --cursor and as --since", async () => {
  using here = await staged();
  expect((await here.ok("msg thread T")).cursor).toBeUndefined();
  for (const text of ["1", "2", "3"]) await here.ok(`msg send --task T --from ANN --text ${text}`);
  const first = await here.ok("msg thread T -n 2");
  expect(texts(first)).toEqual(["1", "2"]);
  for (const option of ["--cursor", "--since"])
    expect(texts(await here.ok(`msg thread T ${option} ${first.cursor}`))).toEqual(["3"]);
  const end = await here.ok(`msg thread T --cursor ${first.cursor}`);
  expect((await here.ok(`msg thread T --cursor ${end.cursor}`)).cursor).toBe(end.cursor);
  await here.ok("msg send --task T --from BEN --text 4");
  expect(texts(await here.ok(`msg thread T --cursor ${end.cursor}`))).toEqual(["4"]);
  // After the runtime was emptied or lost, what is new comes after the old cursor.
  await here.ok("reset --force");
  await here.join("ANN");
  await here.ok("msg send --task T --from ANN --text 5");
  expect(texts(await here.ok(`msg thread T --cursor ${end.cursor}`))).toEqual(["5"]);
});

test("searching takes any text, and finds what holds all of its words", async () => {
  using here = await staged();
  await here.ok(["msg", "send", "--task", "T", "--from", "ANN", "--text", 'The schema is in src/db (see "notes")']);
  await here.ok(["msg", "send", "--to", "agent:BEN", "--from", "ANN", "--subject", "Schema", "--text", "Not yet done"]);
  const found = async (...args: string[]) =>
    texts(await here.ok(["msg", "search", ...args])).map((text) => text.slice(0, 3));
  expect(await found("-k", "SCHEMA")).toEqual(["Not", "The"]);
  expect(await found("-k", "schema src/d")).toEqual(["The"]);
  expect(await found("-k", '"yet done"')).toEqual(["Not"]);
  expect(await found("-k", '"done yet"')).toEqual([]);
  expect(await found("-k", "schema", "--task", "task:T")).toEqual(["The"]);
  for (const hostile of [
    '"',
    "'",
    "(",
    "a AND",
    "NEAR(",
    "*",
    "text:x",
    "-x",
    "^",
    "%",
    "\\",
    "{}",
    "'; drop table message",
  ])
    await here.ok(["msg", "search", `--keyword=${hostile}`]);
  for (const nothing of [[], ["--keyword", " "]]) await here.refused("USAGE", ["msg", "search", ...nothing]);
});

test("talking goes on while the spec cannot be read", async () => {
  using here = await staged();
  await here.ok("task claim T --agent BEN");
  here.write(".lodestar/spec.yaml", "tasks: [\n");
  const { json } = await here.call("msg send --task T --from BEN --text still-here");
  expect(json).toMatchObject({ ok: true, warnings: [expect.stringContaining("The spec cannot be read now")] });
  expect(texts(await here.ok("msg thread T"))).toEqual(["still-here"]);
  expect(texts(await here.ok("msg inbox --agent BEN"))).toEqual(["still-here"]);
  await here.refused("SPEC_INVALID", "msg send --task U --from BEN --text nobody-knows-U");
});

test("a thread is shared by all worktrees, also that of a task which only another branch has", async () => {
  using here = await staged();
  here.commit();
  here.git("worktree", "add", "-q", "-b", "feat", "side");
  const side = { cwd: "side" };
  const { id } = await here.ok("task create --id NEW --title New", side);
  await here.refused("TASK_NOT_FOUND", `msg send --task ${id} --from ANN --text x`);
  await here.ok(`task claim ${id} --agent BEN`, side);
  await here.ok(`msg send --task ${id} --from ANN --text from-main`);
  expect(texts(await here.ok("msg inbox --agent BEN", side))).toEqual(["from-main"]);
});

test("the project says how long messages and events are kept; what it says badly is told with its line", async () => {
  using here = await staged("{keep_messages: 30d, keep_events: 7d}");
  await here.ok("task claim T --agent BEN");
  const rows = () => {
    using db = new Database(`${here.path}/.lodestar/runtime.sqlite`, { readonly: true });
    return db.query("select keep_events, keep_messages from runtime").get();
  };
  expect(rows()).toEqual({ keep_events: 7 * 86_400_000, keep_messages: 30 * 86_400_000 });
  here.tasks(["T", "U"]);
  await here.ok("task claim U --agent ANN");
  expect(rows()).toEqual({ keep_events: null, keep_messages: null });
  here.tasks(["T"], () => [], "{keep_messages: long}");
  expect((await here.refused("SPEC_INVALID", "task list")).message).toContain("keep_messages");
});

test("reading needs no runtime, and makes none", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  for (const line of ["msg", "msg thread T", "msg search --keyword x", "task log T", "task", "agent"])
    await here.ok(line);
  await here.refused("AGENT_NOT_FOUND", "msg inbox --agent ANN --count");
  expect(here.git("status", "--porcelain", "--ignored")).not.toContain("runtime.sqlite");
});

test("words from a message never reach the terminal raw", async () => {
  using here = await staged();
  const evil = "\u001b[31mred\u001b]0;title\u0007 \u202edesrever\r\nlodestar: all is well";
  await here.ok(["msg", "send", "--task", "T", "--from", "ANN", "--subject", evil, "--text", evil]);
  for (const line of [
    "msg thread T",
    "msg search --keyword red",
    "msg",
    "task claim T --agent BEN",
    "msg inbox --agent BEN",
  ]) {
    const { stdout } = await here.run(words(line));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
  }
});
