// The home page's forty requests: sends them all at once, then draws when each was under way and counts the answers.

const burst = document.querySelector("[data-burst]");
const bars = [...burst.querySelectorAll(".bars li")];
const button = burst.querySelector("button");
burst.hidden = false;

async function ask(number, run) {
  const url = new URL(burst.dataset.burst, location.href);
  url.search = new URLSearchParams({ n: number, run });
  const sent = performance.now();
  let arrived = false;
  try {
    const response = await fetch(url, { cache: "no-store" });
    await response.text();
    arrived = response.ok;
  } catch {
    // Counted as failed.
  }
  const measured = { start: sent, end: performance.now() };
  // The browser's own record knows how long a request waited here for a free connection.
  const [record] = performance.getEntriesByName(url.href);
  if (record?.requestStart) measured.start = record.requestStart;
  return { ...measured, arrived };
}

function draw(answers, begun) {
  const total = Math.max(...answers.map((answer) => answer.end)) - begun;
  answers.forEach((answer, index) => {
    const share = (moment) => `${(100 * moment) / total}%`;
    const bar = bars[index].firstElementChild;
    bars[index].classList.toggle("failed", !answer.arrived);
    bar.style.marginLeft = share(answer.start - begun);
    bar.style.width = share(answer.end - answer.start);
  });
  return total;
}

function tell(answers, total) {
  const arrived = answers.filter((answer) => answer.arrived).length;
  const longest = Math.max(...answers.map((answer) => answer.end - answer.start));
  const show = (name, text) => (burst.querySelector(`[data-show=${name}]`).textContent = text);
  show("arrived", `${arrived} of ${answers.length}`);
  show("total", `${Math.round(total)} ms`);
  show("longest", `${Math.round(longest)} ms`);
  show("end", `${Math.round(total)} ms`);
  burst.querySelector(".result").classList.toggle("lossy", arrived < answers.length);
}

let running = false;
button.addEventListener("click", async () => {
  if (running) return;
  running = true;
  performance.clearResourceTimings();
  const begun = performance.now();
  const answers = await Promise.all(bars.map((_, index) => ask(index + 1, Math.round(begun))));
  tell(answers, draw(answers, begun));
  button.textContent = "Send them again";
  running = false;
});
