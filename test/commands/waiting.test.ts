/** L7: what becomes of a waiter's place in the queue, whatever happens to it. */
import { expect, test } from "bun:test";
import type { Context } from "../../src/commands/context.ts";
import { waitFor } from "../../src/commands/task/waiting.ts";
import { LodestarError } from "../../src/core/errors.ts";

const TICKET = { ticket_id: "T", filter: "", worktree: "/" };
const busy = (): never => {
  throw new LodestarError("BUSY", "written by others");
};

/** A runtime in which nothing changes, and how often the place was given up there. */
function stub({ queue = () => {}, dequeue = () => {} }: { queue?: () => void; dequeue?: () => void }) {
  const given = { up: 0 };
  const runtime = {
    queue: async () => {
      queue();
      return { first: true };
    },
    dequeue: async () => {
      given.up += 1;
      dequeue();
    },
    pulse: async () => 1,
    observe: async () => ({ leases: [], now: 0, last_seq: 1 }),
  };
  const context = {
    clock: { now: () => Date.now() },
    spec: { key: () => "same" },
    runtime: async () => runtime,
    runtimeIfAny: async () => runtime,
    worktree: "/",
  };
  return { given, context: context as unknown as Context };
}

test("the place is given up when a task came, when the time is over, and when the attempt fails", async () => {
  const { given, context } = stub({});
  expect(await waitFor(context, 1000, TICKET, async () => "got")).toBe("got");
  expect(await waitFor<string>(context, 1, TICKET, async () => undefined)).toBeUndefined();
  const failing = waitFor(context, 1000, TICKET, async () => {
    throw new LodestarError("AGENT_NOT_FOUND", "none");
  });
  await expect(failing).rejects.toMatchObject({ code: "AGENT_NOT_FOUND" });
  expect(given.up).toBe(3);
});

test("who was told BUSY does not wait as long again to give the place up", async () => {
  const { given, context } = stub({ queue: busy });
  const waiting = waitFor(context, 1000, TICKET, async () => "got");
  await expect(waiting).rejects.toMatchObject({ code: "BUSY" });
  expect(given.up).toBe(0);
});

test("a task that was got stays got where the place cannot be given up, and so does what went wrong", async () => {
  const { context } = stub({ dequeue: busy });
  expect(await waitFor(context, 1000, TICKET, async () => "got")).toBe("got");
  const failing = waitFor(context, 1000, TICKET, async () => {
    throw new LodestarError("AGENT_NOT_FOUND", "none");
  });
  await expect(failing).rejects.toMatchObject({ code: "AGENT_NOT_FOUND" });
});
