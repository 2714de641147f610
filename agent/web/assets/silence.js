// Makes the silence form live: what it would do follows what is typed. Without this the button Preview asks for the same.
//
// The server draws the preview; nothing is decided here, and nothing is sent but by its button.
"use strict";
(() => {
  let timer = 0;
  let asked = 0;

  const form = () => document.querySelector("form[data-preview]");

  async function look(from) {
    const turn = ++asked;
    const query = new URLSearchParams(new FormData(from));
    try {
      const answer = await fetch(`${from.getAttribute("action")}?${query}`, { signal: AbortSignal.timeout(20000) });
      const view = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (turn !== asked || !from.isConnected) return;
      for (const id of ["preview", "silence-now"]) {
        const [fresh, old] = [view.getElementById(id), document.getElementById(id)];
        if (fresh && old) old.replaceChildren(...fresh.childNodes);
      }
      // Matchers that were typed become chips once they are read; a mistake stays where it was made.
      const [fresh, old] = [view.getElementById("chips"), document.getElementById("chips")];
      const field = old?.querySelector("[name=add]");
      if (fresh && field && field.value && document.activeElement !== field) {
        old.replaceChildren(...fresh.childNodes);
      }
    } catch {
      const place = document.getElementById("preview");
      if (turn === asked && place) place.textContent = "no answer from Skopos";
    }
  }

  function soon(from, pause) {
    clearTimeout(timer);
    timer = setTimeout(() => look(from), pause);
  }

  document.addEventListener("input", (event) => {
    const from = event.target.closest("form[data-preview]");
    if (from && !["because", "by"].includes(event.target.name)) soon(from, 300);
  });

  document.addEventListener("change", (event) => {
    const from = event.target.closest("form[data-preview]");
    if (!from) return;
    if (event.target.dataset.remember) {
      try { localStorage.setItem(`skopos:${event.target.dataset.remember}`, event.target.value); } catch { /* it is typed again */ }
    }
    if (event.target.name === "add") soon(from, 0);
    // A time that is typed is meant.
    if (event.target.name === "until" && event.target.value) from.querySelector("[name=for][value=until]").click();
  });

  const here = form();
  if (!here) return;
  for (const field of here.querySelectorAll("[data-remember]")) {
    try { field.value ||= localStorage.getItem(`skopos:${field.dataset.remember}`) || ""; } catch { /* it is typed */ }
  }
  // The page of an alert leaves the past out, because it is drawn again and again.
  if (here.dataset.preview === "now") look(here);
})();
