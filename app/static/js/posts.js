// The list of posts: says when there are new ones (push.js brings the news). Without it the list is as it was loaded.

const news = document.querySelector("[data-push=posts]");
const newest = Number(news.dataset.newest);
const seen = new Set();

const tell = (text) => {
  const link = document.createElement("a");
  link.href = location.pathname;
  link.textContent = text;
  news.replaceChildren(link);
};

news.addEventListener("push", ({ detail }) => {
  if (detail.id > newest) seen.add(detail.id);
  if (seen.size) tell(seen.size === 1 ? `1 new post: ${detail.title}` : `${seen.size} new posts`);
});

news.addEventListener("push-lost", () => tell("There may be new posts"));
