// Keys. Whatever can be pressed carries its key in data-keys ("o", "g l"), so that this file knows no view: it
// finds the thing with that key and presses it, as a finger would. No key acts outside the page.
"use strict";
(() => {
  let begun = "";
  let timer = 0;

  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");
  const seen = (element) => element.checkVisibility ? element.checkVisibility() : element.offsetParent !== null;

  function press(keys) {
    // Links of a closed sheet work too: their keys are for those who do not want to open it.
    const all = [...document.querySelectorAll("[data-keys]")].filter((element) => element.dataset.keys === keys);
    const one = all.filter((element) => !element.hidden).findLast((element) => seen(element)) || all.find((element) => element.href || element.matches("input"));
    if (!one) return false;
    // On a narrow screen the field waits in a sheet.
    if (one.matches("input") && !seen(one)) one.closest("[popover]")?.showPopover();
    if (one.matches("input, textarea")) {
      one.focus();
      one.select();
    } else {
      one.click();
    }
    return true;
  }

  // Rows are what stands in lists and tables; the focus is on a row's first link.
  function walk(selector, by) {
    const rows = [...document.querySelectorAll(selector)].filter(seen);
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
    const target = row.querySelector("a[href]") || row;
    if (target === row && !row.hasAttribute("tabindex")) row.tabIndex = -1;
    target.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function single(event) {
    switch (event.key) {
      case "j": return walk("main [data-row]", 1), true;
      case "k": return walk("main [data-row]", -1), true;
      case "e": return walk("main [data-event]", 1), true;
      case "n": return walk("main .log mark", 1), true;
      case "p": return walk("main .log mark", -1), true;
      case "y": return window.skopos.copyLink(), true;
      case "u": return press("u") || ((location.href = location.pathname.replace(/[^/]*\/?$/, "") || "/"), true);
      case "o": {
        const row = document.activeElement.closest?.("[data-row]");
        const link = row && row.querySelector("a[href]");
        return link ? (link.click(), true) : press("o");
      }
      default: return false;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      if (typing(event.target)) event.target.blur();
      begun = "";
      return;
    }
    if (typing(event.target)) return;
    const key = event.key === "−" ? "-" : event.key === "=" ? "+" : event.key;
    if (key.length !== 1) return;
    const keys = begun ? `${begun} ${key}` : key;
    begun = "";
    clearTimeout(timer);
    if (press(keys) || (keys === key && single(event))) {
      event.preventDefault();
      return;
    }
    if (key === "g") {
      begun = "g";
      timer = setTimeout(() => (begun = ""), 1500);
    }
  });

  // On a phone the search is an icon that opens the field; then it should be ready to type into.
  document.getElementById("jump")?.addEventListener("toggle", (event) => {
    if (event.newState === "open") event.target.querySelector("input").focus();
  });
})();
