/**
 * What `setup opencode` writes as a plugin: opencode calls functions where others call commands, so this calls `lodestar hook`. Plain
 * JavaScript, for whatever runs opencode. Nothing in it throws but a refusal, and nothing waits longer than ten seconds.
 */
export const OPENCODE_PLUGIN = `// Put here by \`lodestar setup opencode\`, taken out with \`--remove\`. A copy that you change is yours, and stays (seal -).
import { spawn } from "node:child_process";

const EDITS = new Set(["edit", "write", "multiedit", "patch", "apply_patch"]);

/** Exit status and words of \`lodestar hook\`; wherever it is missing or wrong, as if there were no hook. */
function hook(event, said) {
  return new Promise((resolve) => {
    const nothing = { exit: 0, out: "", err: "" };
    try {
      const child = spawn("lodestar", ["hook", event, "--tool", "opencode"], { cwd: said.cwd, timeout: 10_000 });
      let out = "";
      let err = "";
      child.stdout.on("data", (data) => (out += data));
      child.stderr.on("data", (data) => (err += data));
      child.on("error", () => resolve(nothing));
      child.on("close", (exit) => resolve({ exit, out, err }));
      child.stdin.on("error", () => {});
      child.stdin.end(JSON.stringify(said));
    } catch {
      resolve(nothing);
    }
  });
}

export const Lodestar = async ({ client, directory }) => {
  const roots = new Map();
  /** A subagent works in a session of its own, for the agent of the session that began it. */
  async function rootOf(id) {
    if (!roots.has(id)) {
      let parent;
      try {
        parent = (await client.session.get({ path: { id } })).data?.parentID;
      } catch {
        // A session that is not known is its own.
      }
      roots.set(id, parent ? await rootOf(parent) : id);
    }
    return roots.get(id);
  }
  const saidBy = async (id) => ({ session_id: await rootOf(id), cwd: directory });
  return {
    event: async ({ event }) => {
      if (event.type !== "session.created" || event.properties?.info?.parentID) return;
      const id = event.properties?.info?.id;
      const { out } = await hook("session-start", { session_id: id, cwd: directory });
      if (out.trim() === "") return;
      try {
        // Told to the agent, answered by nobody.
        await client.session.prompt({ path: { id }, body: { noReply: true, parts: [{ type: "text", text: out }] } });
      } catch {
        // The session goes on without the brief.
      }
    },
    "tool.execute.before": async (input, output) => {
      if (!EDITS.has(input.tool)) return;
      const said = { ...(await saidBy(input.sessionID)), tool_input: output.args };
      const { exit, err } = await hook("pre-edit", said);
      if (exit === 2 && err.trim() !== "") throw new Error(err.trim());
    },
    "tool.execute.after": async (input) => {
      await hook("post-tool", await saidBy(input.sessionID));
    },
  };
};
`;
