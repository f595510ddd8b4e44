// A page in a real browser posts and listens in all three forms while its connections are cut again and again.
//
//   node tests/listen/browser.mjs target/release/millrace [chromium]
//
// Needs node 18 or newer and Chromium (Debian: `apt install chromium`); nothing of npm. It starts the server on a
// fresh directory, a proxy before it whose connections it can cut, and a headless browser that it talks to over
// the browser's own pipe. EventSource comes back by itself with Last-Event-ID; the WebSocket and the long-poll
// come back with the next number; a post whose answer was cut off is sent again with its idempotency key.
// Passes when every listener heard every event once and in order.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const [binary, chromium = "chromium"] = process.argv.slice(2);
const EVENTS = 600;
const CUTS = 6;
const PASSWORD = "tea at five";
const folder = mkdtempSync(path.join(os.tmpdir(), "millrace-browser-"));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function startServer() {
  const data = path.join(folder, "data");
  const server = spawn(binary, ["serve", "--http", "127.0.0.1:0", "--data", data], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, MILLRACE_ADMIN_PASSWORD: PASSWORD },
  });
  return new Promise((resolve, reject) => {
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    server.stdout.on("data", (line) => {
      const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(String(line))?.[1];
      if (port) resolve({ server, port: Number(port) });
    });
  });
}

async function logIn(port) {
  const body = JSON.stringify({ username: "admin", password: PASSWORD });
  const headers = { "content-type": "application/json" };
  const reply = await fetch(`http://127.0.0.1:${port}/sessions`, { method: "POST", headers, body });
  if (reply.status !== 201) throw new Error(`the login was answered with ${reply.status}`);
  return (await reply.json()).token;
}

// Passes bytes on; `cut` ends every connection without a word.
function startProxy(port) {
  const open = new Set();
  const proxy = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => { open.delete(from); to.destroy(); });
      from.pipe(to);
    }
  });
  const cut = () => { const count = open.size; open.forEach((socket) => socket.resetAndDestroy()); return count; };
  return new Promise((resolve) => {
    proxy.listen(0, "127.0.0.1", () => resolve({ proxy, cut, port: proxy.address().port }));
  });
}

// The browser and a function that sends one of its commands.
function startBrowser() {
  const browser = spawn(chromium, [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
    "--remote-debugging-pipe", `--user-data-dir=${path.join(folder, "profile")}`, "about:blank",
  ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [to, from] = [browser.stdio[3], browser.stdio[4]];
  const waiting = new Map();
  let input = "";
  let last = 0;
  from.on("data", (bytes) => {
    input += bytes;
    const messages = input.split("\0");
    input = messages.pop();
    for (const message of messages.map((text) => JSON.parse(text))) {
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    }
  });
  const command = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, ({ error, result }) => (error ? reject(new Error(error.message)) : resolve(result)));
    to.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
  return { browser, command };
}

// Runs in the page. A browser can give headers to fetch only: the other two name the token in the address.
async function page(EVENTS, token) {
  const heard = { sse: [], websocket: [], poll: [] };
  const resumed = { sse: 0, websocket: 0, poll: 0, post: 0 };
  window.state = { heard, resumed, posted: 0 };
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const note = (form, text) => { for (const item of JSON.parse(text)) heard[form].push([item.meta.id, item.data.n]); };
  const next = (form) => (heard[form].at(-1)?.[0] ?? 0) + 1;

  const source = new EventSource(`/listen?s=b:s:1&jwt=${token}`);
  source.onmessage = (message) => note("sse", message.data);
  source.onerror = () => { resumed.sse += 1; };

  const connect = () => {
    const socket = new WebSocket(`ws://${location.host}/listen?s=b:s:${next("websocket")}&jwt=${token}`);
    socket.onmessage = (message) => note("websocket", message.data);
    socket.onclose = () => { resumed.websocket += 1; setTimeout(connect, 50); };
  };
  connect();

  (async () => {
    for (;;) {
      try {
        const reply = await fetch(`/listen?s=b:s:${next("poll")}&timeout=20`, { headers: { "x-session": token } });
        if (reply.status === 200) note("poll", await reply.text());
      } catch { resumed.poll += 1; await pause(50); }
    }
  })();

  for (let n = 1; n <= EVENTS; n += 1) {
    const headers = { "content-type": "application/json", "idempotency-key": `n${n}`, "x-session": token };
    for (;;) {
      try {
        const reply = await fetch("/streams/b/s", { method: "POST", headers, body: JSON.stringify({ n }) });
        if (!reply.ok) throw new Error(`status ${reply.status}`);
        await reply.json();
        break;
      } catch { resumed.post += 1; await pause(20); }
    }
    window.state.posted = n;
    await pause(30);
  }
}

const { server, port } = await startServer();
const token = await logIn(port);
const { proxy, cut, port: front } = await startProxy(port);
const { browser, command } = startBrowser();
let failed = true;
try {
  const { product } = await command("Browser.getVersion");
  const { targetId } = await command("Target.createTarget", { url: `http://127.0.0.1:${front}/ping` });
  const { sessionId } = await command("Target.attachToTarget", { targetId, flatten: true });
  const evaluate = async (expression) => {
    const params = { expression, returnByValue: true };
    const { result, exceptionDetails } = await command("Runtime.evaluate", params, sessionId);
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  while ((await evaluate("location.href + document.readyState")) !== `http://127.0.0.1:${front}/pingcomplete`) await sleep(50);
  await evaluate(`(${page})(${EVENTS}, ${JSON.stringify(token)}); 0`);
  for (let n = 0; n < CUTS; n += 1) {
    await sleep(4000);
    console.log(`cut ${cut()} sockets after ${await evaluate("state.posted")} posts`);
  }
  const begin = Date.now();
  let state;
  do {
    await sleep(200);
    state = await evaluate("state");
  } while (Date.now() - begin < 60_000 && Object.values(state.heard).some((items) => items.length < EVENTS));
  await sleep(500);
  state = await evaluate("state");
  console.log(`${product}; came back: ${JSON.stringify(state.resumed)}`);
  const expected = JSON.stringify(Array.from({ length: EVENTS }, (_, n) => [n + 1, n + 1]));
  failed = state.posted !== EVENTS;
  for (const [form, items] of Object.entries(state.heard)) {
    const isRight = JSON.stringify(items) === expected;
    console.log(`${form}: ${items.length} events, ${isRight ? "each once and in order" : "WRONG"}`);
    failed ||= !isRight;
  }
} finally {
  browser.kill("SIGKILL");
  server.removeAllListeners("exit");
  server.kill("SIGTERM");
  proxy.close();
  cut();
  await sleep(1000);
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
