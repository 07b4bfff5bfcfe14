import { expect, setDefaultTimeout, test } from "bun:test";
import { fleet } from "../support/fleet.ts";
import { freePort } from "../support/postgres.ts";

setDefaultTimeout(60_000);

test("a server that is not there: who reads is answered from the spec with a warning, who writes is told to try again", async () => {
  using here = await fleet();
  here.tasks(["A"], () => [], "{ project_id: nowhere }");
  const port = freePort();
  const env = { LODESTAR_RUNTIME: `postgres://agent:secret@127.0.0.1:${port}/lodestar` };
  const message = `The runtime at 127.0.0.1:${port} (database lodestar) cannot be reached.`;
  const status = await here.call("status", { env });
  expect(status.exit).toBe(0);
  expect(status.json).toMatchObject({ data: { tasks: { total: 1 } }, warnings: [expect.stringContaining(message)] });
  expect((await here.call("task list", { env })).json.data.tasks).toMatchObject([{ id: "A", status: "ready" }]);
  const claim = await here.call("task claim A --agent A1", { env });
  expect(claim.exit).toBe(5);
  expect(claim.json.error).toMatchObject({ code: "RUNTIME_UNREACHABLE", message, retriable: true });
  expect(status.stdout + claim.stdout).not.toContain("secret");
});
