/** A project of Backlog.md, made by its own program. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Pinned: the format of this version is what the test proves. */
export const BACKLOG_VERSION = "1.52.0";

export interface BacklogProject {
  readonly path: string;
  readonly remove: () => void;
}

/**
 * Installs the pinned package into a folder of its own and makes a project with it.
 * @returns why it cannot be done here (no npm, no network), as text.
 */
export function backlogProject(): BacklogProject | string {
  const base = mkdtempSync(join(tmpdir(), "lodestar-backlog-"));
  const path = join(base, "project");
  mkdirSync(path);
  writeFileSync(join(base, "package.json"), '{"private":true}');
  const env = { ...process.env, HOME: base, BACKLOG_CWD: path };
  const run = (cwd: string, ...command: readonly string[]) => {
    const ran = Bun.spawnSync([...command], {
      cwd,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: 60_000,
    });
    return ran.exitCode === 0 ? undefined : `${command.slice(0, 3).join(" ")}: ${ran.stdout}${ran.stderr}`.trim();
  };
  const remove = () => rmSync(base, { recursive: true, force: true });
  if (Bun.which("npm") === null) return "there is no npm";
  const failed = run(base, "npm", "install", "--no-audit", "--no-fund", "--no-save", `backlog.md@${BACKLOG_VERSION}`);
  const program = join(base, "node_modules", ".bin", "backlog");
  if (failed !== undefined || !existsSync(program)) {
    remove();
    return failed ?? "npm installed no program";
  }
  const calls = [
    ["init", "Shop", "--defaults", "--integration-mode", "none", "--no-git"],
    ["milestone", "add", "Version 1"],
    [
      "task",
      "create",
      "Choose a database",
      "-d",
      "Compare three.",
      "--ac",
      "Decision written",
      "--priority",
      "high",
      "-l",
      "backend",
    ],
    [
      "task",
      "create",
      "Write the schema",
      "-d",
      "One line\n\n## A heading\ntext",
      "--ac",
      "Migrates",
      "--ac",
      "Rolls back: 'all'",
      "--dep",
      "task-1",
      "-m",
      "Version 1",
    ],
    ["task", "create", "Done already", "-s", "Done"],
    ["task", "create", "Under way", "-s", "In Progress", "--dep", "task-3", "--notes", "half way"],
    ["task", "create", "A part", "-p", "task-4"],
    ["task", "create", "An idea", "--draft"],
    ["task", "create", "Old", "-s", "Done"],
    ["task", "complete", "task-5"],
  ];
  for (const call of calls) {
    const problem = run(path, program, ...call);
    // It is installed: that its commands fail is no reason to skip.
    if (problem !== undefined) throw new Error(problem);
  }
  return { path, remove };
}
