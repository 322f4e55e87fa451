// The story of test_story.py, told by the TypeScript client. scripts/clients installs that and runs
//   node story.mjs STORY.json legacy|auto URL
//   node story.mjs STORY.json legacy|auto COMMAND ARGUMENT…
import assert from "node:assert/strict";
import { once, EventEmitter } from "node:events";
import { readFileSync } from "node:fs";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [file, mode, target, ...args] = process.argv.slice(2);
const story = JSON.parse(readFileSync(file, "utf8"));
const news = new EventEmitter();
const options = mode === "legacy" ? {} : { versionNegotiation: { mode } };
const client = new Client({ name: "story", version: "1" }, options);
client.setNotificationHandler("notifications/resources/list_changed", () => news.emit("list"));
client.setNotificationHandler("notifications/resources/updated", ({ params }) =>
  news.emit(params.uri),
);

async function answer(name, args = {}) {
  const { structuredContent, isError, content } = await client.callTool({ name, arguments: args });
  assert.ok(!isError, JSON.stringify(content));
  return structuredContent;
}

async function read(uri) {
  const { contents } = await client.readResource({ uri });
  assert.equal(contents[0].mimeType, "text/markdown");
  return contents[0].text;
}

// Waits for the change that `act` brings about.
async function hears(change, filter, act) {
  const heard = once(news, change, { signal: AbortSignal.timeout(60_000) });
  const modern = client.getNegotiatedProtocolVersion() === "2026-07-28";
  const stream = modern ? await client.listen(filter) : undefined;
  if (!modern && filter.resourceSubscriptions) await client.subscribeResource({ uri: change });
  const done = await act();
  await heard;
  await stream?.close();
  return done;
}

const transport = target.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(target))
  : new StdioClientTransport({ command: target, args, env: process.env });
await client.connect(transport);
const version = mode === "legacy" ? "2025-11-25" : "2026-07-28";
assert.equal(client.getNegotiatedProtocolVersion(), version);

const first = await answer("search_experience", { query: story.trajectory.task });
assert.ok(first.nothing_relevant);
const recorded = await answer("record_trajectory", story.trajectory);
const brief = await answer("distill");
assert.deepEqual(brief.trajectories.map(({ id }) => id), [recorded.trajectory_id]);
const saved = await hears("list", { resourcesListChanged: true }, () =>
  answer("save_lessons", { brief_id: brief.brief_id, lessons: [story.lesson] }),
);
assert.equal(saved.decisions[0].decision, "add");

const id = saved.decisions[0].experience_id;
const uri = `flex://experience/${id}`;
const found = await answer("search_experience", { query: story.next_task });
assert.deepEqual(found.hits.map((hit) => hit.id), [id]);
const { resources } = await client.listResources();
assert.equal(resources.find((one) => one.uri === uri)?.title, story.lesson.title);
assert.ok((await read(uri)).includes(story.lesson.lesson));
await hears(uri, { resourceSubscriptions: [uri] }, () =>
  answer("curate_experience", {
    id,
    action: "edit",
    fields: { lesson: story.edit },
    reason: "shorter",
  }),
);
assert.ok((await read(uri)).includes(story.edit));
await client.close();
