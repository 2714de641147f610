// Small acts of buttons: copying, and sending a form without leaving the view.
"use strict";
(() => {
  const toast = document.getElementById("toast");
  let gone = 0;

  function say(text) {
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(gone);
    gone = setTimeout(() => (toast.hidden = true), 2500);
  }

  // The clipboard needs a safe context, which plain HTTP from another machine is not; then the text is selected
  // so that one key copies it.
  async function copy(text, from) {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      if (from) getSelection().selectAllChildren(from);
      say(from ? "Press Ctrl and C to copy" : text);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const from = document.querySelector(button.dataset.copy);
    if (from) copy(from.textContent, from);
  });

  // What a shell is to ask is this process, by the address it was reached at.
  const name = () => document.querySelectorAll("[data-origin]").forEach((place) => (place.textContent = location.origin));
  document.addEventListener("skopos:fresh", name);
  name();

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-answer]");
    const place = form && document.querySelector(form.dataset.answer);
    if (!place) return; // The form goes the plain way.
    event.preventDefault();
    place.textContent = "Sending…";
    try {
      const answer = await fetch(form.action, { method: "POST", signal: AbortSignal.timeout(60000) });
      const view = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.textContent = view.querySelector("h1")?.textContent || `refused: ${answer.status}`;
    } catch {
      place.textContent = "no answer from Skopos";
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  window.skopos = Object.assign(window.skopos || {}, {
    say,
    copyLink: () => copy(new URL(document.body.dataset.permalink, location.href).href),
  });
})();
