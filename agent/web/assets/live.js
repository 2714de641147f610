// Keeps a view fresh: fetches its own address every few seconds and carries over what changed.
//
// The server draws every view whole, so the new document is simply laid over the old one, node by node. What the
// reader is doing stays as it is: scroll, focus, selection, typed text, open sheets, and every [data-keep].
"use strict";
(() => {
  const every = Number(document.body.dataset.every) || 0;
  if (!every) return; // A view of a fixed time does not change.

  const parts = ["main", "#views", "#thumb", "#refused"];
  let pause = every;
  let timer = 0;
  let lostSince = null;

  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  function attributes(old, fresh) {
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) {
      // What scripts have opened or pressed is not the server's to close.
      if (!fresh.hasAttribute(name) && name !== "tabindex" && name !== "open") old.removeAttribute(name);
    }
  }

  function lay(fresh, old) {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.dataset && "keep" in old.dataset) return;
    attributes(old, fresh);
    const known = new Map();
    for (const child of old.children) if (child.id) known.set(child.id, child);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const named = child.nodeType === 1 && child.id ? known.get(child.id) : null;
      if (named) {
        if (named !== at) old.insertBefore(named, at);
        else at = at.nextSibling;
        lay(child, named);
      } else if (at && same(at, child)) {
        const next = at.nextSibling;
        lay(child, at);
        at = next;
      } else {
        old.insertBefore(document.importNode(child, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function lost(yes) {
    const place = document.querySelector("[data-fresh]");
    if (yes) lostSince ||= new Date();
    else lostSince = null;
    if (!place) return;
    place.classList.toggle("lost", yes);
    if (!yes) return;
    place.textContent = `no answer from Skopos since ${lostSince.toTimeString().slice(0, 8)}`;
    document.title = document.title.replace(/^\S+ .*? · /, "○ no answer · ");
  }

  async function look() {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Text that is being selected must not move away under the hand.
      if (!String(getSelection())) {
        for (const part of parts) {
          const [now, then] = [fresh.querySelector(part), document.querySelector(part)];
          if (now && then) lay(now, then);
        }
      }
      document.title = fresh.title;
      document.body.dataset.now = fresh.body.dataset.now;
      document.body.dataset.permalink = fresh.body.dataset.permalink;
      lost(false);
      document.dispatchEvent(new Event("skopos:fresh"));
    } catch {
      lost(true);
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    // Nobody looks at a hidden page; it is fetched at once when somebody does.
    if (!document.hidden) timer = setTimeout(look, pause);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
  plan();

  // Following the lines is looking more often.
  const follow = document.querySelector("[data-follow]");
  if (follow) {
    follow.hidden = false;
    follow.addEventListener("click", () => {
      const on = follow.getAttribute("aria-pressed") !== "true";
      follow.setAttribute("aria-pressed", String(on));
      pause = on ? 1000 : every;
      if (on) look();
    });
  }
})();
