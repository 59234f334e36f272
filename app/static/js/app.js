// On every page: times in the reader's zone, and no form sent twice. Without it, times are in UTC and forms still work.

const clock = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
});

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent.trim();
  time.textContent = clock.format(new Date(time.dateTime)).replace(" at ", ", ");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  // Later, because a disabled button's own value would be missing from what is sent.
  setTimeout(() => event.submitter?.setAttribute("disabled", ""));
});

// Also when the browser brings the page back as it was left.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) {
    delete form.dataset.sent;
    form.querySelectorAll("button[disabled]").forEach((button) => button.removeAttribute("disabled"));
  }
});
