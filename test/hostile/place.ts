/** A small repository in a folder, and calls of the real command line in it, in this process. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../../src/cli/run.ts";
import type { Context } from "../../src/commands/context.ts";
import { GROUPS, REGISTRY } from "../../src/commands/registry.ts";
import { LodestarError } from "../../src/core/errors.ts";
import { openContext } from "../../src/wire.ts";
import { ManualClock, SeededRandom } from "../support/clock.ts";
import { checkAnswer, differences, type Said, snapshot, Violation } from "./oracle.ts";

export const START = Date.UTC(2026, 0, 5);

export interface HostilePlace {
  /** Everything; beside the repository lie files that nobody may touch. */
  readonly base: string;
  readonly root: string;
  readonly spec: string;
  readonly runtime: string;
  readonly index: string;
  readonly clock: ManualClock;
  /** Runs a command and checks what every answer promises. */
  call(argv: readonly string[], options?: { readonly stdin?: string; readonly unchecked?: boolean }): Promise<Said>;
  /**
   * @param beside allows files in the repository, as `init` writes them.
   * @throws Violation when something outside of `.lodestar/` and the Git directory was made, changed or removed.
   */
  checkOutside(beside?: boolean): void;
  /** From here on, what is outside is as it should be. */
  settle(): void;
  [Symbol.dispose](): void;
}

/** A process lets go of its files when it ends: open ones would keep locks and shared memory for the next call. */
async function letGo(context: Context | undefined): Promise<void> {
  try {
    context?.spec.close();
    (await context?.runtimeIfAny())?.close();
  } catch (cause) {
    // It could not be opened: then nothing is open.
    if (!(cause instanceof LodestarError)) throw cause;
  }
}

const OURS = /^\/repo\/(?:\.lodestar|\.git)(?:\/|$)/;

/** @param spec bytes of `spec.yaml`; without them there is none. */
export function hostilePlace(seed: number, spec?: string | Uint8Array): HostilePlace {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "lodestar-hostile-")));
  const root = join(base, "repo");
  const git = join(root, ".git");
  for (const folder of ["objects", "refs/heads", "info", "hooks"]) mkdirSync(join(git, folder), { recursive: true });
  writeFileSync(join(git, "HEAD"), "ref: refs/heads/main\n");
  writeFileSync(join(git, "config"), "[core]\n\trepositoryformatversion = 0\n");
  writeFileSync(join(base, "secret"), "nobody may touch this\n");
  mkdirSync(join(root, ".lodestar"));
  const path = join(root, ".lodestar", "spec.yaml");
  if (spec !== undefined) writeFileSync(path, spec);
  const clock = new ManualClock(START);
  const random = new SeededRandom(seed);
  let outside = snapshot(base, (name) => !OURS.test(name));
  return {
    base,
    root,
    spec: path,
    runtime: join(root, ".lodestar", "runtime.sqlite"),
    index: join(root, ".lodestar", "index.sqlite"),
    clock,
    async call(argv, { stdin = "", unchecked = false } = {}) {
      let out = "";
      let err = "";
      let unread = stdin;
      let context: Context | undefined;
      // Repeated calls see another second, as in life.
      clock.advance(1000);
      const exit = await runCli(
        argv,
        {
          cwd: root,
          env: { HOME: base, NO_COLOR: "1", PATH: process.env.PATH },
          out: (text) => {
            out += `${text}\n`;
          },
          offer: (text) => {
            out += `${text}\n`;
            return false;
          },
          err: (text) => {
            err += `${text}\n`;
          },
          isTerminal: (stream) => stream !== "in" && !argv.includes("--json"),
          columns: () => 80,
          confirm: () => false,
          readStdin: () => stdin,
          nextStdin: async () => {
            const part = unread === "" ? undefined : new TextEncoder().encode(unread);
            unread = "";
            return part;
          },
          readFile: async (file, from) => {
            const { readFileSync } = await import("node:fs");
            return readFileSync(join(root, from, file), "utf8");
          },
        },
        {
          registry: REGISTRY,
          groups: GROUPS,
          openContext: async (world) => {
            context = await openContext({ ...world, clock, random });
            return context;
          },
        },
      );
      await letGo(context);
      const said = { argv, exit, out, err };
      if (!unchecked) checkAnswer(said);
      return said;
    },
    checkOutside(beside = false) {
      const all = differences(
        outside,
        snapshot(base, (name) => !OURS.test(name)),
      );
      const changed = beside ? all.filter((name) => !name.startsWith("/repo/")) : all;
      if (changed.length > 0) throw new Violation(`touched outside of .lodestar/ and .git/: ${changed.join(", ")}`);
    },
    settle() {
      outside = snapshot(base, (name) => !OURS.test(name));
    },
    [Symbol.dispose]() {
      rmSync(base, { recursive: true, force: true });
    },
  };
}
