/**
 * A model that does what a plan says, in the words of four makers: what coding agents do with our hooks and our MCP server can so be seen
 * without an account. It keeps what it was sent.
 */

/** What the model does next: write a file, or call a tool of Lodestar's MCP server. */
type Step = { readonly write: string } | { readonly tool: string; readonly given: Readonly<Record<string, unknown>> };

/** The next step, by the number of answers that tools have given so far and all that the model was told; `undefined`: it ends its turn. */
export type Plan = (answers: number, heard: string) => Step | undefined;

type Event = readonly [name: string, data: object];
interface Call {
  readonly id: string;
  readonly name: string;
  /** Codex: the server whose tool it is. */
  readonly namespace?: string;
  readonly given: object;
}

/** One maker's way to ask a model. */
interface Maker {
  readonly path: RegExp;
  /** Occurs once for each answer of a tool. */
  readonly answer: RegExp;
  /** The tools that write files, as the coding agents of this maker's models have them, each with what it is given. */
  readonly writers: Readonly<Record<string, (path: string) => object>>;
  call(call: Call): Response;
  say(text: string): Response;
}

const CONTENT = "x\n";

const stream = (events: readonly Event[]): Response =>
  sent(events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`).join(""));
const sent = (body: string): Response => new Response(body, { headers: { "content-type": "text/event-stream" } });

/** Messages, as Anthropic has them. */
const MESSAGES: Maker = {
  path: /\/messages$/,
  answer: /"type":"tool_result"/g,
  writers: { Write: (file_path) => ({ file_path, content: CONTENT }) },
  call: ({ id, name, given }) =>
    message(
      { type: "tool_use", id, name, input: {} },
      { type: "input_json_delta", partial_json: JSON.stringify(given) },
      "tool_use",
    ),
  say: (text) => message({ type: "text", text: "" }, { type: "text_delta", text }, "end_turn"),
};

function message(block: object, delta: object, stop_reason: string): Response {
  const begun = { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null };
  return stream([
    ["message_start", { message: { ...begun, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } }],
    ["content_block_start", { index: 0, content_block: block }],
    ["content_block_delta", { index: 0, delta }],
    ["content_block_stop", { index: 0 }],
    ["message_delta", { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } }],
    ["message_stop", {}],
  ]);
}

/** Responses, as OpenAI has them. */
const RESPONSES: Maker = {
  path: /\/responses$/,
  answer: /"type":"(?:custom_tool|function)_call_output"/g,
  writers: { apply_patch: (path) => ({ patch: `*** Begin Patch\n*** Add File: ${path}\n+x\n*** End Patch\n` }) },
  call: ({ id, given, ...named }) =>
    item(
      "patch" in given
        ? { type: "custom_tool_call", id, call_id: id, ...named, input: given.patch, status: "completed" }
        : { type: "function_call", id, call_id: id, ...named, arguments: JSON.stringify(given) },
    ),
  say: (text) => item({ type: "message", role: "assistant", id: "m", content: [{ type: "output_text", text }] }),
};

function item(item: object): Response {
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
const COMPLETIONS: Maker = {
  path: /\/chat\/completions$/,
  answer: /"role":"tool"/g,
  writers: {
    create: (path) => ({ path, file_text: CONTENT }),
    write: (filePath) => ({ filePath, content: CONTENT }),
  },
  call: ({ id, name, given }) =>
    chunks(
      { tool_calls: [{ index: 0, id, type: "function", function: { name, arguments: JSON.stringify(given) } }] },
      "tool_calls",
    ),
  say: (content) => chunks({ content }, "stop"),
};

function chunks(said: object, reason: string): Response {
  const chunk = (delta: object, finish_reason: string | null): string =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  return sent(`${chunk({ role: "assistant", ...said }, null)}${chunk({}, reason)}data: [DONE]\n\n`);
}

/** What Google has. */
const GENERATE: Maker = {
  path: /:streamGenerateContent$/,
  answer: /"functionResponse":/g,
  writers: { write_file: (file_path) => ({ file_path, content: CONTENT }) },
  call: ({ id, name, given }) => part({ functionCall: { id, name, args: given } }),
  say: (text) => part({ text }),
};

const part = (said: object): Response =>
  sent(
    `data: ${JSON.stringify({
      candidates: [{ index: 0, content: { role: "model", parts: [said] }, finishReason: "STOP" }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
    })}\n\n`,
  );

const MAKERS = [MESSAGES, RESPONSES, COMPLETIONS, GENERATE];

/** Serves on this machine. */
export function standInModel(plan: Plan) {
  const requests: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const asked = await request.text();
      const { pathname } = new URL(request.url);
      const maker = MAKERS.find(({ path }) => path.test(pathname));
      if (maker === undefined) return Response.json({ object: "list", data: [] });
      requests.push(asked);
      return answer(maker, asked, plan);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    /** Each request. */
    heard: (): readonly string[] => requests,
    stop: () => server.stop(true),
  };
}

function answer(maker: Maker, asked: string, plan: Plan): Response {
  const answers = asked.match(maker.answer)?.length ?? 0;
  const step = plan(answers, asked);
  // What is asked beside the work, such as a title, comes without tools.
  const named = step === undefined ? undefined : callOf(maker, asked, step);
  return named === undefined ? maker.say("Done.") : maker.call({ id: `call_${answers + 1}`, ...named });
}

function callOf(maker: Maker, asked: string, step: Step): Omit<Call, "id"> | undefined {
  if ("write" in step) {
    const [name, given] = Object.entries(maker.writers).find(([name]) => asked.includes(`"${name}"`)) ?? [];
    return name === undefined || given === undefined ? undefined : { name, given: given(step.write) };
  }
  const { tool, given } = step;
  const [, name] = new RegExp(`"name":"([\\w-]*${tool})"`).exec(asked) ?? [];
  if (name !== undefined) return { name, given };
  // Codex has a model search for the tools of servers; this one knows what it would find.
  return asked.includes('"type":"tool_search"') ? { name: tool, namespace: "mcp__lodestar", given } : undefined;
}
