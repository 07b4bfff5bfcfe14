/**
 * A model that wants to write one file, and then is done, in the words of three makers: what coding agents do with our hooks can so be
 * seen without an account. It keeps what it was sent.
 */

type Event = readonly [name: string, data: object];

const stream = (events: readonly Event[]): Response =>
  new Response(
    events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`).join(""),
    {
      headers: { "content-type": "text/event-stream" },
    },
  );

/** Messages, as Anthropic has them. */
function messages(text: string, path: string): Response {
  const isTold = text.includes('"tool_result"') || !text.includes('"Write"');
  const [block, delta, stop_reason] = isTold
    ? [{ type: "text", text: "" }, { type: "text_delta", text: "Done." }, "end_turn"]
    : [
        { type: "tool_use", id: "toolu_1", name: "Write", input: {} },
        { type: "input_json_delta", partial_json: JSON.stringify({ file_path: path, content: "x" }) },
        "tool_use",
      ];
  const message = { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null };
  return stream([
    ["message_start", { message: { ...message, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } }],
    ["content_block_start", { index: 0, content_block: block }],
    ["content_block_delta", { index: 0, delta }],
    ["content_block_stop", { index: 0 }],
    ["message_delta", { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } }],
    ["message_stop", {}],
  ]);
}

/** Responses, as OpenAI has them. */
function responses(text: string, path: string): Response {
  const patch = `*** Begin Patch\n*** Add File: ${path}\n+x\n*** End Patch\n`;
  const item = text.includes('"type":"custom_tool_call_output"')
    ? { type: "message", role: "assistant", id: "m", content: [{ type: "output_text", text: "Done." }] }
    : { type: "custom_tool_call", id: "c", call_id: "c", name: "apply_patch", input: patch, status: "completed" };
  const usage = {
    input_tokens: 1,
    input_tokens_details: null,
    output_tokens: 1,
    output_tokens_details: null,
    total_tokens: 2,
  };
  return stream([
    ["response.created", { response: { id: "r" } }],
    ["response.output_item.done", { output_index: 0, item }],
    ["response.completed", { response: { id: "r", usage } }],
  ]);
}

/** Chat completions, as many have them. */
function completions(text: string, path: string): Response {
  const chunk = (delta: object, finish_reason: string | null): string =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  const call = { name: "create", arguments: JSON.stringify({ path, file_text: "x" }) };
  const isTold = text.includes('"role":"tool"') || !text.includes('"create"');
  const body = isTold
    ? chunk({ role: "assistant", content: "Done." }, null) + chunk({}, "stop")
    : chunk({ role: "assistant", tool_calls: [{ index: 0, id: "c", type: "function", function: call }] }, null) +
      chunk({}, "tool_calls");
  return new Response(`${body}data: [DONE]\n\n`, { headers: { "content-type": "text/event-stream" } });
}

/** Serves on this machine; `path` is the file that it wants. */
export function standInModel(path: string) {
  let heard = "";
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const text = await request.text();
      const { pathname } = new URL(request.url);
      const answer = [
        ["/messages", messages],
        ["/responses", responses],
        ["/chat/completions", completions],
      ].find(([end]) => pathname.endsWith(end as string))?.[1] as typeof messages | undefined;
      if (answer === undefined) return Response.json({ object: "list", data: [] });
      heard += text;
      return answer(text, path);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    heard: () => heard,
    stop: () => server.stop(true),
  };
}
