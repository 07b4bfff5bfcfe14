/** What every command of the registry must keep to, so that the command line can be a reading of it. */
import { expect, test } from "bun:test";
import { describe as inWords } from "../../src/cli/describe.ts";
import { commandExplanation, commandHelp, groupHelp } from "../../src/cli/help.ts";
import { fieldsOf, GLOBALS } from "../../src/cli/options.ts";
import { parse } from "../../src/cli/parse.ts";
import { childrenOf, type House, nameOf, treeOf, wordsOf } from "../../src/cli/tree.ts";
import { GROUPS, REGISTRY } from "../../src/commands/registry.ts";
import { plain } from "../../src/render/terminal.ts";

const commands = await Promise.all(
  Object.entries(REGISTRY).map(async ([name, load]) => [name, (await load()).default] as const),
);

const longestFirst = [...commands].sort(([a], [b]) => b.length - a.length);

test.each(commands)("%s is called what the registry calls it, and its group has a line", (name, command) => {
  expect(command.name).toBe(name);
  const [group, ...rest] = name.split(".");
  if (rest.length > 0) expect(Object.keys(GROUPS)).toContain(group ?? "");
});

test.each(commands)("%s: help and explanation fit 80 columns", (_name, command) => {
  for (const text of [commandHelp(command, plain), commandExplanation(command, plain)]) {
    for (const line of text.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80);
  }
  expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
  expect(command.summary.length).toBeLessThanOrEqual(60);
});

test.each(commands)("%s names only fields that it has, each option once", (_name, command) => {
  const fields = fieldsOf(command);
  const names = fields.map(({ name }) => name);
  for (const list of [
    command.positional,
    command.hidden,
    command.long_text,
    Object.keys(command.aliases),
    Object.keys(command.options),
  ]) {
    for (const name of list) expect(names).toContain(name);
  }
  const options = fields.filter((field) => !field.byPosition).map(({ option }) => option);
  expect(new Set(options).size).toBe(options.length);
  const letters = Object.values(command.aliases);
  expect(new Set(letters).size).toBe(letters.length);
  for (const { letter } of GLOBALS) if (letter !== undefined) expect(letters).not.toContain(letter);
  // These are read before the command is known: no command may mean something else by them.
  for (const option of ["json", "schema", "explain", "fields", "help", "version", "quiet", "no-color"])
    expect(options).not.toContain(option);
  expect(command.positional.slice(0, -1).every((name) => !fields.find((field) => field.name === name)?.many)).toBe(
    true,
  );
});

test.each(commands)("%s: its examples are calls that can be understood", (name, command) => {
  expect(inWords(command).usage).toStartWith(`lodestar ${wordsOf(name).join(" ")}`);
  for (const { line } of command.examples) {
    // `printf … | lodestar … > file`: the call itself.
    const [, call = ""] = /(?:^|[|;&(]\s*|\s)lodestar((?:\s+(?:'[^']*'|"[^"]*"|[^\s|<>&;)'"]+)+)*)/.exec(line) ?? [];
    const argv = [...call.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) =>
      word.replaceAll(/'([^']*)'|"([^"]*)"/g, "$1$2"),
    );
    // A group that is a command as well shows calls of those below it.
    const [called, value] = longestFirst.find(([one]) => wordsOf(one).every((word, i) => argv[i] === word)) ?? [];
    expect(called === name || called?.startsWith(`${name}.`)).toBe(true);
    expect(() => parse(value ?? command, wordsOf(called ?? name), argv)).not.toThrow();
  }
});

test.each(commands)(
  "%s says what it does and shows it by an example, in its help and its explanation",
  (_name, command) => {
    expect(command.explain.length).toBeGreaterThan(20);
    // What Git calls is no example for anybody.
    if (!["git.hook", "git.merge_driver"].includes(command.name)) expect(command.examples.length).toBeGreaterThan(0);
    for (const { line, shows } of command.examples) {
      expect(shows).toMatch(/[^.]$/);
      const head = line.slice(0, 30).trimEnd();
      expect(commandHelp(command, plain)).toContain(head);
      expect(commandExplanation(command, plain)).toContain(head);
    }
  },
);

const house: House = { registry: REGISTRY, groups: GROUPS, openContext: () => Promise.reject(new Error("unused")) };
const groups = Object.values(childrenOf(treeOf(house))).filter((node) => Object.keys(childrenOf(node)).length > 0);

test.each([["lodestar", treeOf(house)] as const, ...groups.map((node) => [nameOf(node), node] as const)])(
  "%s: help and explanation of the group fit 80 columns, and show what it does alone and examples",
  async (name, node) => {
    const [help, explanation] = [await groupHelp(node, house, plain), await groupHelp(node, house, plain, "explain")];
    for (const text of [help, explanation])
      for (const line of text.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80);
    const own = commands.find(([one]) => one === name)?.[1];
    if (own !== undefined) expect(explanation.replaceAll(/\s+/g, " ")).toContain(own.explain);
    if (own !== undefined || name === "lodestar") expect(help).toContain("Examples:\n");
  },
);
