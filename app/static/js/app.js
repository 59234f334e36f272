// On every page: times in the reader's zone, no form sent twice, and no text lost when a log-in ends while it is typed.
// Without it, times are in UTC and forms still work.

const clock = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
});

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent.trim();
  time.textContent = clock.format(new Date(time.dateTime)).replace(" at ", ", ");
}

// Not `disabled`: that drops the button's own value and the focus, and Firefox keeps it when the page is loaded again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
});

addEventListener("pageshow", (event) => {
  if (!event.persisted) return; // brought back as it was left, a form may be sent again
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-disabled]").forEach((button) => button.removeAttribute("aria-disabled"));
  }
});

// A draft stays in this tab until a page says that it was sent.
const draft = document.querySelector("form[data-draft]");
const forget = (kept) => {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft ") && key !== kept) sessionStorage.removeItem(key);
};
if (draft) {
  const key = `draft ${draft.dataset.draft} ${location.pathname}`;
  forget(key); // what somebody else has typed in this tab before
  const fields = [...draft.querySelectorAll("input[type=text], textarea")];
  const kept = JSON.parse(sessionStorage.getItem(key) ?? "{}");
  for (const field of fields) field.value ||= kept[field.name] ?? "";
  draft.addEventListener("input", () => {
    sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(fields.map((field) => [field.name, field.value]))));
  });
} else if (document.querySelector(".flash")) {
  forget();
}
