// The page of a job: its bar moves as the work goes on (by push.js where that is), and the page shows how it ended.
// Without it the page renews itself.

const OFTEN = 2000; // ms between two looks, at first
const SELDOM = 10_000; // when nothing changes, and while push.js brings what is new, its end too

const bar = document.querySelector("progress[data-state]");
const said = document.querySelector("[data-said]");

let timer = 0;
let pause = OFTEN;

const show = ({ progress, said: text }) => {
  bar.value = progress;
  said.textContent = text;
};

bar.addEventListener("push", (event) => {
  pause = SELDOM;
  if (event.detail.state) return look(); // it has ended
  show(event.detail);
});
bar.addEventListener("push-lost", () => look());

const look = async () => {
  clearTimeout(timer);
  if (document.hidden) return; // until somebody looks
  try {
    const response = await fetch(location.href, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (response.status === 404) return location.reload();
    if (!response.ok) throw new Error(response.status);
    const job = await response.json();
    if (job.state !== bar.dataset.state) return location.reload();
    show(job);
  } catch {
    // The server is away, or can not answer for a moment.
  }
  timer = setTimeout(look, pause);
  pause = Math.min(pause * 1.3, SELDOM);
};
timer = setTimeout(look, OFTEN);
document.addEventListener("visibilitychange", () => !document.hidden && look());
