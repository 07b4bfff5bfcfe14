import type { AnyCommand } from "./command.ts";

/** Every command by name, loaded when asked for: `task.claim` is `lodestar task claim`. */
export const REGISTRY: Readonly<Record<string, () => Promise<{ default: AnyCommand }>>> = {
  init: () => import("./repo/init.ts"),
  status: () => import("./repo/status.ts"),
  doctor: () => import("./repo/doctor.ts"),
  reset: () => import("./repo/reset.ts"),
  version: () => import("./repo/version.ts"),
  completions: () => import("./setup/completions.ts"),
  "export.snapshot": () => import("./export/snapshot.ts"),
  import: () => import("./repo/import.ts"),
  "agent.join": () => import("./agent/join.ts"),
  "agent.list": () => import("./agent/list.ts"),
  "agent.heartbeat": () => import("./agent/heartbeat.ts"),
  "agent.leave": () => import("./agent/leave.ts"),
  "agent.whoami": () => import("./agent/whoami.ts"),
  "agent.brief": () => import("./agent/brief.ts"),
  "task.next": () => import("./task/next.ts"),
  "task.claim": () => import("./task/claim.ts"),
  "task.renew": () => import("./task/renew.ts"),
  "task.release": () => import("./task/release.ts"),
  "task.done": () => import("./task/done.ts"),
  "task.verify": () => import("./task/verify.ts"),
  "task.reopen": () => import("./task/reopen.ts"),
  "task.create": () => import("./task/create.ts"),
  "task.import": () => import("./task/import.ts"),
  "task.list": () => import("./task/list.ts"),
  "task.show": () => import("./task/show.ts"),
  "task.update": () => import("./task/update.ts"),
  "task.delete": () => import("./task/delete.ts"),
  "task.graph": () => import("./task/graph.ts"),
  "git.install": () => import("./git/install.ts"),
  "git.uninstall": () => import("./git/uninstall.ts"),
  "git.resolve": () => import("./git/resolve.ts"),
  "git.merge": () => import("./git/merge.ts"),
  "git.merge_driver": () => import("./git/merge-driver.ts"),
  "git.hook": () => import("./git/hook.ts"),
  events: () => import("./events/events.ts"),
  wait: () => import("./events/wait.ts"),
};

/** Groups of commands, with a line on each. */
export const GROUPS: Readonly<Record<string, string>> = {
  agent: "Agents: who takes part",
  export: "Export: the whole state as one file",
  git: "Git: merge specs, install the merge driver and hooks",
  task: "Tasks: plan, claim, finish, verify",
};
