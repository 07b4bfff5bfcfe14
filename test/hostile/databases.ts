/** Campaigns: databases with flipped bytes, cut off, overwritten, or with something else in their place. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../support/clock.ts";
import { type Said, Violation } from "./oracle.ts";
import { type HostilePlace, hostilePlace } from "./place.ts";

const SPEC = `project: {name: shop, conventions: {}}
tasks:
  A: {title: one, status: ready}
  B:
    title: two
    status: ready
    depends_on: [A]
  C:
    title: three
    status: done
    completed_by: ALICE
  D:
    title: four
    status: ready
`;

/** A repository whose three databases hold something of everything. */
async function lived(seed: number): Promise<HostilePlace> {
  const here = hostilePlace(
    seed,
    SPEC.replace("A: {title: one, status: ready}", "A:\n    title: one\n    status: ready"),
  );
  for (const argv of [
    ["agent", "join", "--id", "ALICE", "--capability", "x"],
    ["agent", "join", "--id", "BOB"],
    ["task", "claim", "A", "--agent", "ALICE"],
    ["task", "done", "A", "--agent", "ALICE", "--note", "look here"],
    ["task", "verify", "C", "--agent", "BOB"],
    ["task", "claim", "D", "--agent", "BOB", "--idempotency-key", "k"],
  ])
    await here.call(argv);
  return here;
}

/** What {@link damage} did, for the report. */
type Damage = string;

/** Damages one file of a database, or puts something else in its place. */
export function damage(path: string, random: SeededRandom): Damage {
  const kind = random.pick([
    "flip",
    "flip",
    "flip",
    "flip",
    "cut",
    "empty",
    "noise",
    "page",
    "folder",
    "fifo",
    "link",
    "loop",
    "wal",
    "shm",
    "gone",
  ]);
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  switch (kind) {
    case "flip": {
      const handle = openSync(path, "r+");
      const flips = 1 + random.below(random.pick([2, 8, 64]));
      for (let i = 0; i < flips && bytes.length > 0; i += 1) {
        // Most often where SQLite's own structure is, else anywhere.
        const at = random.below(random.pick([100, 4096, bytes.length, bytes.length]));
        writeSync(handle, Uint8Array.of(random.below(256)), 0, 1, Math.min(at, bytes.length - 1));
      }
      closeSync(handle);
      break;
    }
    case "cut":
      truncateSync(path, random.below(bytes.length + 1));
      break;
    case "page": {
      const handle = openSync(path, "r+");
      writeSync(
        handle,
        Buffer.alloc(4096, random.below(256)),
        0,
        4096,
        4096 * random.below(Math.max(1, Math.ceil(bytes.length / 4096))),
      );
      closeSync(handle);
      break;
    }
    case "empty":
      writeFileSync(path, "");
      break;
    case "noise":
      writeFileSync(path, random.bytes(1 + random.below(9000)));
      break;
    case "wal":
      writeFileSync(`${path}-wal`, random.below(2) === 0 ? random.bytes(5000) : Buffer.alloc(20_000_000, 1));
      break;
    case "shm":
      writeFileSync(`${path}-shm`, random.bytes(32_768));
      break;
    default: {
      const at = path + random.pick(["", "", "-wal", "-shm"]);
      rmSync(at, { recursive: true, force: true });
      if (kind === "folder") mkdirSync(at);
      else if (kind === "fifo") Bun.spawnSync(["mkfifo", at]);
      else if (kind === "link") symlinkSync(join(path, "..", "..", "..", "secret"), at);
      else if (kind === "loop") symlinkSync(at, at);
      return `${kind} ${at.slice(path.length)}`;
    }
  }
  return kind;
}

const LOOKS = [
  ["status", "--json"],
  ["task", "list"],
  ["task", "next"],
  ["task", "show", "A"],
  ["doctor"],
  ["agent", "list"],
  ["events"],
  ["task", "show", "D", "--json"],
];
const WRITES = [
  ["task", "claim", "B", "--agent", "ALICE"],
  ["task", "renew", "D", "--agent", "BOB"],
  ["task", "done", "D", "--agent", "BOB", "--json"],
  ["task", "verify", "A", "--agent", "BOB"],
  ["task", "create", "--title", "more"],
  ["task", "reopen", "C", "--note", "no"],
  ["agent", "heartbeat", "--agent", "ALICE"],
  ["task", "next", "--claim", "--agent", "ALICE", "--json"],
  ["task", "release", "D", "--agent", "BOB", "--force"],
  ["agent", "join", "--json"],
  ["task", "delete", "D"],
  ["task", "claim", "D", "--agent", "BOB", "--idempotency-key", "k"],
];

async function use(here: HostilePlace, random: SeededRandom): Promise<Said[]> {
  const said: Said[] = [];
  for (let calls = 3; calls > 0; calls -= 1)
    said.push(await here.call(random.pick(random.below(2) === 0 ? LOOKS : WRITES)));
  return said;
}

/** Damage to the runtime is told as such, with a way out that works. */
export async function runtimeDamage(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = await lived(seed);
  const done = damage(here.runtime, random);
  try {
    await use(here, random);
    await here.call(["doctor", "--fix"]);
    here.settle();
    for (const argv of [
      ["status", "--json"],
      ["agent", "join", "--id", "EVE", "--json"],
      ["task", "create", "--title", "again", "--json"],
    ]) {
      const { exit, out } = await here.call(argv);
      // A newer schema is no damage that may be repaired by moving the file aside.
      if (exit !== 0 && !out.includes("RUNTIME_TOO_NEW"))
        throw new Violation(`after doctor --fix: ${argv.join(" ")}: ${out}`);
    }
    here.checkOutside();
  } catch (cause) {
    throw new Violation(`runtime: ${done}\n${cause instanceof Error ? cause.stack : cause}`, { cause });
  }
}

/** Damage to the index is nobody's business: every answer is the one that a call without an index gives. */
export async function indexDamage(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = await lived(seed);
  using twin = await lived(seed);
  const done = damage(here.index, random);
  try {
    for (let calls = 4; calls > 0; calls -= 1) {
      const argv = random.pick(random.below(2) === 0 ? LOOKS : WRITES);
      for (const part of ["-wal", "-shm", ""]) rmSync(twin.index + part, { force: true, recursive: true });
      const told = await here.call(argv);
      const wanted = await twin.call(argv);
      const plain = (text: string, place: HostilePlace) =>
        text.replaceAll(place.base, "BASE").replace(/(?:spec\.yaml:|Wrote )\S+/g, "");
      // Doctor names what lies in the index's place; everything else is the same to the letter, but for a page of rows gone from the file.
      if (argv[0] !== "doctor" && told.exit !== wanted.exit && !told.out.includes('"BUSY"') && told.exit !== 5)
        throw new Violation(
          `${argv.join(" ")}: ${plain(told.out + told.err, here)}\n--- without an index\n${plain(wanted.out + wanted.err, twin)}`,
        );
    }
    here.checkOutside();
    twin.checkOutside();
  } catch (cause) {
    throw new Violation(`index: ${done}\n${cause instanceof Error ? cause.stack : cause}`, { cause });
  }
}

/** The lock holds nothing: whatever lies in its place, a save goes through or says what to remove. */
export async function lockDamage(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = await lived(seed);
  const locks = ["spec.lock", "runtime.lock", "runtime-home"].map((name) => join(here.root, ".git", "lodestar", name));
  const at = random.pick(locks);
  if (!existsSync(at)) writeFileSync(at, "");
  const done = damage(at, random);
  try {
    await use(here, random);
    here.checkOutside();
  } catch (cause) {
    throw new Violation(`${at}: ${done}\n${cause instanceof Error ? cause.stack : cause}`, { cause });
  }
}
