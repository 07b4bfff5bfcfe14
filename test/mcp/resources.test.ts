/** Resources: what can be read, and that those who subscribed are told when it changes, and only then. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet } from "../support/fleet.ts";
import { type Connected, httpServer, stdioClient } from "../support/mcp.ts";

/** What a client is told, one after another: its addresses, and `list` for another list. */
function toldTo({ client }: Connected): { next(): Promise<string> } {
  const told: string[] = [];
  let wake = (): void => {};
  const hear = (what: string): void => {
    told.push(what);
    wake();
  };
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => hear(params.uri));
  client.setNotificationHandler("notifications/resources/list_changed", () => hear("list"));
  return {
    async next() {
      while (told.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return told.shift() ?? "";
    },
  };
}

const WAYS = {
  "stdio, protocol of 2025": async (here: Fleet) => stdioClient(here),
  "stdio, newest protocol": async (here: Fleet) => stdioClient(here, {}, "auto"),
  "HTTP, many sessions": async (here: Fleet) => {
    const server = await httpServer(here);
    const agent = await server.connect();
    return {
      ...agent,
      [Symbol.asyncDispose]: async () => {
        await agent[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  },
};

/** Each protocol has its own way to ask. */
async function subscribe({ client }: Connected, way: string, ...uris: readonly string[]): Promise<() => Promise<void>> {
  if (way.includes("newest")) {
    const { close } = await client.listen({ resourceSubscriptions: [...uris], resourcesListChanged: true });
    return close;
  }
  for (const uri of uris) await client.subscribeResource({ uri });
  return async () => {
    for (const uri of uris) await client.unsubscribeResource({ uri });
  };
}

describe.each(Object.entries(WAYS))("%s:", (way, connect) => {
  test("who subscribed to a task is told of what others do with it, and of nothing else", async () => {
    using here = await fleet();
    here.tasks(["A", "B", "C"]);
    await here.join("ADA");
    await using agent = await connect(here);
    const told = toldTo(agent);
    const stop = await subscribe(agent, way, "lodestar://task/A");
    // Each of these is waited for before the next: so nothing came of B.
    await here.ok("task claim B --agent ADA");
    await here.ok("task claim A --agent ADA --ttl 1s");
    expect(await told.next()).toBe("lodestar://task/A");
    // Nobody writes anything when a lease runs out.
    expect(await told.next()).toBe("lodestar://task/A");
    await here.ok("msg send --task A --from ADA --text Hello");
    expect(await told.next()).toBe("lodestar://task/A");
    // By hand, without a command.
    const spec = join(here.path, ".lodestar/spec.yaml");
    writeFileSync(spec, readFileSync(spec, "utf8").replace("Title of A", "Another title"));
    expect(await told.next()).toBe("lodestar://task/A");
    await stop();
    await subscribe(agent, way, "lodestar://task/C", "lodestar://status");
    await here.ok("task claim A --agent ADA");
    expect(await told.next()).toBe("lodestar://status");
    await here.ok("task delete C");
    expect([await told.next(), await told.next()].sort()).toEqual(["lodestar://status", "lodestar://task/C"]);
  });

  test("documents that tasks cite are listed, with their sections, and their coming and going is told", async () => {
    using here = await fleet();
    here.tasks(["A"]);
    here.write("docs/Shop plan.md", "# Shop\n\n## Log in\n\nTwo fields.\n\n## Log out\n\nA button.\n");
    here.write("secret.md", "# Secret\n");
    await using agent = await connect(here);
    const told = toldTo(agent);
    const list = async () => (await agent.client.listResources()).resources.map(({ uri }) => uri);
    const read = async (uri: string) => {
      const [content] = (await agent.client.readResource({ uri })).contents;
      return content !== undefined && "text" in content ? content.text : "";
    };
    expect(await list()).toEqual(["lodestar://status", "lodestar://spec"]);
    const stop = await subscribe(agent, way, "lodestar://spec");
    await here.ok(["task", "create", "--id", "L", "--title", "x", "--prd-source", "docs/Shop plan.md"]);
    expect([await told.next(), await told.next()].sort()).toEqual(["list", "lodestar://spec"]);
    await stop();
    const uri = "lodestar://prd/docs%2FShop%20plan.md";
    expect((await list()).at(-1)).toBe(uri);
    const { sections } = JSON.parse(await read(uri));
    expect(sections.map((section: { uri: string }) => section.uri)).toEqual([
      `${uri}/shop`,
      `${uri}/log-in`,
      `${uri}/log-out`,
    ]);
    expect(await read(`${uri}/log-in`)).toBe("## Log in\n\nTwo fields.");
    await subscribe(agent, way, `${uri}/log-in`, `${uri}/log-out`);
    here.write("docs/Shop plan.md", "# Shop\n\n## Log in\n\nTwo fields.\n\n## Log out\n\nAnother button.\n");
    expect(await told.next()).toBe(`${uri}/log-out`);
    here.write("docs/Shop plan.md", "# Shop\n\n## Log in\n\nThree fields.\n\n## Log out\n\nAnother button.\n");
    expect(await told.next()).toBe(`${uri}/log-in`);
    await here.ok("task delete L");
    // First that it is no longer to be had, then that it is no longer listed.
    expect([await told.next(), await told.next(), await told.next()]).toEqual([
      `${uri}/log-in`,
      `${uri}/log-out`,
      "list",
    ]);
    for (const gone of [
      uri,
      `${uri}/log-in`,
      "lodestar://prd/secret.md",
      "lodestar://prd/..%2Fx",
      "lodestar://prd/%ff",
    ])
      await expect(agent.client.readResource({ uri: gone })).rejects.toThrow("nothing at");
  });
});

test("that a lease has less time left is no change", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ADA");
  await here.ok("task claim A --agent ADA");
  await using agent = await stdioClient(here);
  const told = toldTo(agent);
  await subscribe(agent, "", "lodestar://task/A", "lodestar://spec");
  await Bun.sleep(1_100);
  await here.ok("task create --id B --title B");
  expect(await told.next()).toBe("lodestar://spec");
  await here.ok("task release A --agent ADA");
  expect(await told.next()).toBe("lodestar://task/A");
});

test("what leads nowhere cannot be subscribed to, nor more than a hundred addresses", async () => {
  using here = await fleet();
  here.tasks(Array.from({ length: 101 }, (_, i) => `T${i}`));
  await using agent = await stdioClient(here);
  await expect(agent.client.subscribeResource({ uri: "lodestar://task/NONE" })).rejects.toThrow("no task NONE");
  await expect(agent.client.subscribeResource({ uri: "file:///etc/passwd" })).rejects.toThrow("nothing at");
  for (let i = 0; i < 100; i += 1) await agent.client.subscribeResource({ uri: `lodestar://task/T${i}` });
  await expect(agent.client.subscribeResource({ uri: "lodestar://task/T100" })).rejects.toThrow("100 addresses");
  await agent.client.unsubscribeResource({ uri: "lodestar://task/T0" });
  await agent.client.subscribeResource({ uri: "lodestar://task/T100" });
});

test("a damaged spec and its mending are told, and end nothing", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await using agent = await stdioClient(here);
  const told = toldTo(agent);
  await agent.client.subscribeResource({ uri: "lodestar://task/A" });
  here.write(".lodestar/spec.yaml", "tasks: [\n");
  expect(await told.next()).toBe("lodestar://task/A");
  await expect(agent.client.readResource({ uri: "lodestar://task/A" })).rejects.toThrow();
  here.tasks(["A"]);
  expect(await told.next()).toBe("lodestar://task/A");
});

test("a call that waits says so to who asked for progress, with growing numbers, and to nobody else", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ADA", "BEN");
  await here.ok("task claim A --agent BEN");
  await using agent = await stdioClient(here, { LODESTAR_AGENT: "ADA" });
  const told: number[] = [];
  const { promise: twice, resolve } = Promise.withResolvers<void>();
  const call = { name: "task_next", arguments: { claim: true, wait: "5m" } };
  const waiting = agent.client.callTool(call, {
    onprogress: ({ progress }) => {
      told.push(progress);
      if (told.length === 2) resolve();
    },
  });
  await twice;
  await here.ok("task release A --agent BEN");
  expect((await waiting).structuredContent).toMatchObject({ task_id: "A", agent_id: "ADA" });
  expect(told).toEqual([1, 2]);
});
