/** Campaign: every option of every command holds text that acts. */
import { readFileSync } from "node:fs";
import { argumentsOf, type Field, fieldsOf } from "../../src/cli/options.ts";
import { spoken } from "../../src/cli/parse.ts";
import type { AnyCommand } from "../../src/commands/command.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { readSpec } from "../../src/spec/document.ts";
import { SeededRandom } from "../support/clock.ts";
import { Violation } from "./oracle.ts";
import { type HostilePlace, hostilePlace } from "./place.ts";
import { hostileSpec } from "./spec-text.ts";
import { hostileText } from "./words.ts";

/** These write where their caller says, or wait: their other options are tried, these are left alone. */
const SKIPPED_FIELDS = new Set(["output", "wait", "follow", "watch", "path", "ours", "theirs", "base", "file", "url"]);
const SKIPPED_COMMANDS =
  /^(?:mcp|board|serve|hook|setup|upgrade|task\.run|wait|msg\.wait|runtime\.copy|git\.(?:hook|install|uninstall|resolve|merge))/;

let loaded: Promise<readonly AnyCommand[]> | undefined;
/** Every command that neither goes on for ever, nor needs Git, nor is there to write to another place. */
function commands(): Promise<readonly AnyCommand[]> {
  const names = Object.keys(REGISTRY).filter((name) => !SKIPPED_COMMANDS.test(name));
  loaded ??= Promise.all(names.map(async (name) => (await REGISTRY[name]?.())?.default)).then((all) =>
    all.filter((command) => command !== undefined),
  );
  return loaded;
}

const IDS = ["A", "B", "C", "ALICE", "BOB"];

function value(field: Field, random: SeededRandom): string {
  if (field.kind === "choice" && random.below(4) > 0) return random.pick(field.choices);
  if (field.kind === "integer" || field.kind === "number")
    return random.pick(["0", "1", "-1", "5", "1e999", "NaN", "9007199254740993", hostileText(random)]);
  if (field.kind === "duration") return random.pick(["1s", "15m", "9e9d", "", hostileText(random)]);
  if (/id|depends|dep|task|agent|to|from/.test(field.name) && random.below(2) === 0) return random.pick(IDS);
  return hostileText(random);
}

function callOf(command: AnyCommand, random: SeededRandom): { argv: string[]; stdin: string } {
  const words = command.name === "" ? [] : spoken(command.name).split(" ").slice(1);
  const argv: string[] = [];
  const places = argumentsOf(command);
  const stdin = hostileText(random);
  for (const field of fieldsOf(command)) {
    if (places.includes(field) || SKIPPED_FIELDS.has(field.name)) continue;
    if (!field.required && random.below(3) > 0) continue;
    if (field.kind === "flag") argv.push(`--${field.option}`);
    else
      for (let times = field.many ? 1 + random.below(2) : 1; times > 0; times -= 1)
        argv.push(
          field.long && random.below(4) === 0 ? `--${field.option}=-` : `--${field.option}=${value(field, random)}`,
        );
  }
  if (random.below(2) === 0 && !argv.some((word) => word.startsWith("--agent")))
    argv.push(`--agent=${random.pick([...IDS, hostileText(random)])}`);
  if (command.effect === "write" && random.below(8) === 0) argv.push(`--idempotency-key=${hostileText(random)}`);
  if (random.below(2) === 0) argv.push("--json");
  if (random.below(30) === 0) argv.push(random.pick(["--help", "--explain", "--schema"]));
  const given = places.filter(({ name }) => !SKIPPED_FIELDS.has(name)).map((field) => value(field, random));
  return { argv: [...words, ...argv, ...(given.length === 0 ? [] : ["--", ...given])], stdin };
}

/** Whatever was refused has written nothing; whatever was accepted left a spec that can be read. */
export async function checkSpec(
  here: HostilePlace,
  before: Buffer,
  exit: number,
  argv: readonly string[],
): Promise<void> {
  const after = readFileSync(here.spec);
  if (after.equals(before)) return;
  // What waits from earlier calls may be written by a later one that is refused itself (T2); those of one call are not: see below.
  if (exit === 2 || exit === 3) throw new Violation(`a refused call changed the spec: ${JSON.stringify(argv)}`);
  const reading = await readSpec(after);
  if (!reading.ok)
    throw new Violation(
      `the spec cannot be read any more: ${JSON.stringify(argv)}\n${JSON.stringify(reading.problems.slice(0, 3))}\n--- before\n${before}\n--- after\n${after}`,
    );
}

/** A dozen calls in one repository, whose spec already holds such texts. */
export async function options(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = hostilePlace(seed, hostileSpec(random));
  const all = await commands();
  for (const id of ["ALICE", "BOB"]) await here.call(["agent", "join", "--id", id, "--name", hostileText(random)]);
  here.settle();
  for (let calls = 0; calls < 12; calls += 1) {
    const command = random.pick(all);
    const { argv, stdin } = callOf(command, random);
    const before = readFileSync(here.spec);
    const { exit } = await here.call(argv, { stdin });
    if (!command.anywhere && command.name !== "doctor") {
      await checkSpec(here, before, exit, argv);
      here.checkOutside();
    }
    here.settle();
  }
  for (const look of [
    ["status"],
    ["doctor"],
    ["task", "list"],
    ["task", "next"],
    ["events", "--limit", "100"],
    ["agent", "list"],
  ])
    await here.call(look);
}
