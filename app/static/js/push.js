// Brings what the server publishes to the elements that listen: data-push="channel" gets a `push` event whose `detail`
// is what was published, and `push-lost` when this page was away for so long that some of it is gone.
// By WebSocket, else by server-sent events, else it asks. Without it the page is as it was loaded.

const server = document.querySelector("meta[name=events]");
const places = { stream: "../events", websocket: "../ws" }; // beside the one that is asked
const listeners = [...document.querySelectorAll("[data-push]")];
const LONGEST_PAUSE = 10_000; // ms between two questions, when there was no news for a while
const QUIET = 60_000; // ms
const SILENCE = 40_000; // ms without a word, though the server says something each 15 s: the connection is dead
const HIDDEN = 10_000; // ms after which a page that nobody sees holds no connection: a browser has six for each server

let last = null; // the id that the server told last: where to go on
let open = null; // the connection ...
let asking = null; // ... or the question that is on its way: never two of them
let timer = 0;
let watchdog = 0;
let hiding = 0;
let pause = 1000;
let notBefore = 0; // when the server wants to be asked again
let newsAt = performance.now();
// How often a way was closed before it told anything, as by a proxy or a worker that is full, and when it may be tried.
const failed = { websocket: { times: 0, until: 0 }, stream: { times: 0, until: 0 } };

const between = (low, high) => low + Math.random() * (high - low);

const address = (path) => {
  const url = new URL(path, location.href);
  for (const channel of new Set(listeners.map((element) => element.dataset.push))) url.searchParams.append("channel", channel);
  if (last) url.searchParams.set("after", last);
  else url.searchParams.set("age", Math.ceil(performance.now() / 1000) + 2); // since this page was asked for
  return url;
};

const deliver = (told) => {
  last = told.id ?? last;
  if (told.lost) for (const element of listeners) element.dispatchEvent(new CustomEvent("push-lost"));
  if (!told.channel) return;
  newsAt = performance.now();
  for (const element of listeners) {
    if (element.dataset.push === told.channel) element.dispatchEvent(new CustomEvent("push", { detail: told.event }));
  }
};

const later = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(milliseconds, notBefore - performance.now()));
};

const close = () => {
  clearTimeout(watchdog);
  const connection = open;
  open = null;
  if (!connection) return;
  connection.onclose = connection.onerror = connection.onmessage = connection.onopen = null;
  connection.close();
};

const listen = (way) => {
  let told = false;
  const over = () => {
    close();
    const { times } = failed[way];
    failed[way] = told
      ? { times: 0, until: 0 }
      : { times: times + 1, until: performance.now() + Math.min(5000 * 2 ** times, 300_000) };
    later(between(200, 2000)); // not all pages at once: a server that leaves tells all of them
  };
  const hear = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(over, SILENCE);
  };
  const url = address(new URL(places[way], new URL(server.content, location.href)));
  if (way === "websocket") url.protocol = location.protocol.replace("http", "ws");
  open = way === "websocket" ? new WebSocket(url) : new EventSource(url);
  open.onmessage = ({ data }) => {
    told = true;
    hear();
    deliver(JSON.parse(data));
  };
  open.onopen = () => way === "stream" && (told = true); // a quiet channel is no failure
  open.onclose = open.onerror = over;
  hear();
};

const works = (way) => performance.now() >= failed[way].until;

const ask = async () => {
  // A page that was opened in the background asks once, where it is to begin; then nobody, until somebody looks.
  if (open || asking || (document.hidden && last)) return;
  const question = (asking = new AbortController());
  const limit = setTimeout(() => question.abort(), SILENCE);
  const asked = performance.now();
  try {
    const response = await fetch(address(server.content), { cache: "no-store", signal: question.signal });
    if (!response.ok) {
      notBefore = performance.now() + 1000 * (Number(response.headers.get("Retry-After")) || 0) * between(1, 1.2);
      throw new Error(response.status);
    }
    const answer = await response.json();
    for (const event of answer.events) deliver(event);
    deliver({ id: answer.id, lost: answer.lost });
    if (document.hidden) return;
    if (answer.by === "websocket" && works("websocket")) return listen("websocket");
    if (answer.by !== "asking" && works("stream")) return listen("stream");
    pause = performance.now() - newsAt < QUIET ? 1000 : Math.min(pause * 1.5, LONGEST_PAUSE);
  } catch {
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  } finally {
    clearTimeout(limit);
    asking = null;
  }
  // A server that is slow to answer is asked less often.
  later(Math.max(pause * between(0.8, 1.1), 5 * (performance.now() - asked)));
};

const rest = () => {
  clearTimeout(timer);
  asking?.abort();
  close();
};

if (server && listeners.length) {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(rest, HIDDEN);
    else if (!open) later(0);
  });
  addEventListener("pagehide", rest); // or the browser could not bring the page back as it was left
  addEventListener("pageshow", (event) => event.persisted && later(0));
  ask();
}
