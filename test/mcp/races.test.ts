/** Many clients of one server, and processes of the command line beside them: each task has one winner. */
import { expect, test } from "bun:test";
import { fleet, tally } from "../support/fleet.ts";
import { type Connected, httpServer } from "../support/mcp.ts";

const CLIENTS = 32;
const PROCESSES = 8;
const TASKS = Array.from({ length: 12 }, (_, i) => `T${i}`);

async function crowd(connect: () => Promise<Connected>): Promise<Connected[]> {
  return await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      const agent = await connect();
      await agent.ok("agent_join", { agent_id: `M${i}` });
      return agent;
    }),
  );
}

test(`${CLIENTS} sessions of one server and ${PROCESSES} processes claim at once: one winner each`, async () => {
  using here = await fleet();
  here.tasks([...TASKS, "ONE"]);
  await here.join(...Array.from({ length: PROCESSES }, (_, i) => `P${i}`));
  await using server = await httpServer(here);
  const agents = await crowd(() => server.connect());
  try {
    const beside = (line: (i: number) => string) =>
      Array.from({ length: PROCESSES }, async (_, i) => {
        const { exit, json } = await here.call(line(i));
        return exit === 0 ? json.data : json.error.code;
      });
    const inside = (tool: string, given: Record<string, unknown>) =>
      agents.map(async ({ client }) => {
        const answer = await client.callTool({ name: tool, arguments: given });
        // biome-ignore lint/suspicious/noExplicitAny: whichever of the two it is, it is looked at below.
        const content = answer.structuredContent as any;
        return answer.isError === true ? content.error.code : content;
      });

    const one = await Promise.all([
      ...beside((i) => `task claim ONE --agent P${i}`),
      ...inside("task_claim", { task_ids: ["ONE"] }),
    ]);
    expect(tally(one.map((each) => (typeof each === "string" ? each : "granted")))).toEqual({
      granted: 1,
      ALREADY_CLAIMED: CLIENTS + PROCESSES - 1,
    });

    const got = await Promise.all([
      ...beside((i) => `task next --claim --another --agent P${i}`),
      ...inside("task_next", { claim: true }),
    ]);
    const holder = one.find((each) => typeof each !== "string").agent_id;
    const granted = got.filter(({ lease_id, task_id }) => lease_id !== undefined && task_id !== "ONE");
    // Who holds ONE gets it again over MCP, and another one as a process.
    expect(granted).toHaveLength(TASKS.length);
    expect(granted.map(({ task_id }) => task_id).sort()).toEqual([...TASKS].sort());
    expect(new Set(granted.map(({ fencing_token }) => fencing_token)).size).toBe(TASKS.length);
    expect(holder).toMatch(/^[MP]\d+$/);
    expect((await here.ok("status")).leases).toHaveLength(TASKS.length + 1);

    // All finish at once, through both: the spec takes every outcome.
    const finished = await Promise.all(
      granted.map(async ({ task_id, agent_id, fencing_token }) => {
        const agent = agents[Number(agent_id.slice(1))];
        return agent_id.startsWith("M")
          ? await agent?.ok("task_done", { task_id, fencing_token, verify: true })
          : await here.ok(`task done ${task_id} --verify --agent ${agent_id} --fencing-token ${fencing_token}`);
      }),
    );
    expect(tally(finished.map(({ status }) => status))).toEqual({ verified: TASKS.length });
    const file = here.file();
    for (const id of TASKS) expect(file[id]).toMatchObject({ status: "verified" });
  } finally {
    await Promise.all(agents.map(({ client }) => client.close()));
  }
});

test("sessions that wait at once get what comes, one each", async () => {
  using here = await fleet();
  here.tasks(["X"]);
  await here.join("BOSS");
  await here.ok("task claim X --agent BOSS");
  await using server = await httpServer(here);
  const agents = await crowd(() => server.connect());
  try {
    const waiting = agents.map((agent) => agent.ok("task_next", { claim: true, wait: "1m" }));
    const tasks = agents.map((_, i) => ({ id: `N${i}`, title: `Number ${i}` }));
    await agents[0]?.ok("task_import", { tasks });
    const got = await Promise.all(waiting);
    expect(got.map(({ task_id }) => task_id).sort()).toEqual(tasks.map(({ id }) => id).sort());
    expect(new Set(got.map(({ agent_id }) => agent_id)).size).toBe(CLIENTS);
  } finally {
    await Promise.all(agents.map(({ client }) => client.close()));
  }
});
