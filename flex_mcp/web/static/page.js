// Everything works without this: it sends the key of an address, and adds the keyboard.
"use strict";

const login = document.querySelector("#login");
if (login && login.elements.key.value) login.submit();

const typing = (target) => target.closest("input, select, textarea, button, summary");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (named) {
    event.preventDefault();
    named.click();
    return;
  }
  const links = [...document.querySelectorAll("td.title a, .hits h2 a, .hits h3 a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "j" || event.key === "k") {
    const next = links[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), links.length - 1)];
    if (next) next.focus();
  } else if (event.key === "/") {
    const field = document.querySelector("[role=search] input, [role=search] textarea");
    if (!field) return;
    event.preventDefault();
    field.focus();
  }
});

// What somebody is writing is not left by mistake.
for (const form of document.querySelectorAll("form[data-guard]")) {
  let changed = false;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", () => { changed = false; });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}

// Whether something changed since the page was loaded: said, never reloaded under somebody's hands.
const main = document.querySelector("main[data-change]");
const news = document.querySelector("#news");
const look = async () => {
  if (document.hidden || !news.hidden) return;
  try {
    const answer = await fetch("/changes");
    if (answer.ok) news.hidden = (await answer.json()).last === Number(main.dataset.change);
  } catch { /* it ended: the next click says so */ }
};
if (main) setInterval(look, 1500);
