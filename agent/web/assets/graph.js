// Draws the graphs: asks the query API for each line, hands it to uPlot, and keeps one cursor for the whole view.
//
// What to draw stands in the figure's data-graph. No measurement is drawn as hatch, never as zero; while there are
// few readings each of them is a dot. Words lie over the canvas as HTML, so that they never stretch.
"use strict";
(() => {
  const FEW = 40; // Up to so many points each is drawn as a dot.
  const GUTTER = 48; // Width of the value axis; the sheet's lanes count on it.
  const COLOURS = ["--accent", "--second", "#cc79a7", "#56b4e9", "#7a68c9", "#a6761d", "#4aa3a2", "#b85c8e"];
  const graphs = new Map();
  const zone = document.body.dataset.zone || "UTC";
  const sync = uPlot.sync("view");
  // The server's clock counts, also where the browser's differs.
  const ahead = Number(document.body.dataset.now) - Date.now();

  const css = (name) => (name.startsWith("--") ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : name);
  const clock = (options) => {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    return (seconds) => format.format(seconds * 1000);
  };
  const atSecond = clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const atMinute = clock({ hour: "2-digit", minute: "2-digit" });
  const atDay = clock({ weekday: "short", day: "numeric" });

  // Numbers, as the server writes them.
  function plain(value) {
    const size = Math.abs(value);
    if (size >= 1e15 || (size > 0 && size < 1e-3)) return value.toExponential(1);
    const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return Number(value.toFixed(digits)).toLocaleString("en-US", { maximumFractionDigits: 3 }).replace("-", "−");
  }
  function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let at = 0;
    while (Math.abs(value) >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
    return `${Number(value.toFixed(Math.abs(value) >= 100 ? 0 : 1))}\u202f${units[at]}`;
  }
  function seconds(value) {
    const size = Math.abs(value);
    if (size === 0) return "0\u202fs";
    if (size < 1e-3) return `${plain(value * 1e6)}\u202fµs`;
    if (size < 1) return `${plain(value * 1e3)}\u202fms`;
    if (size < 120) return `${plain(value)}\u202fs`;
    if (size < 7200) return `${plain(Math.round(value / 6) / 10)}\u202fmin`;
    return size < 172800 ? `${plain(Math.round(value / 360) / 10)}\u202fh` : `${plain(Math.round(value / 8640) / 10)}\u202fd`;
  }
  const WRITE = {
    plain: (value) => (Math.abs(value) < 10 ? String(Number(value.toFixed(1))).replace("-", "−") : plain(value)),
    percent: (value) => plain(Math.round(value)),
    share: (value) => `${Number((value * 100).toFixed(Math.abs(value) < 0.0995 ? 1 : 0))}\u202f%`,
    bytes,
    "bytes/s": (value) => `${bytes(value)}/s`,
    seconds,
  };
  // An axis has room for digits, and needs all of them to tell its marks apart.
  const MARK = { ...WRITE, plain, percent: plain };

  // The next number that halves and quarters well.
  function nice(value) {
    if (!(value > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].find((step) => step * power >= value * 0.999) * power;
  }

  async function ask(expr, spec, signal) {
    const query = new URLSearchParams({ query: expr, start: spec.from / 1000, end: spec.to / 1000, step: spec.step });
    const answer = await fetch(`/api/v1/query_range?${query}`, { signal });
    const body = await answer.json();
    if (body.status !== "success") throw new Error(body.error || `status ${answer.status}`);
    return body.data.result;
  }

  // Of several series the first that says nothing else than the chosen labels.
  function pick(result, chosen) {
    if (!chosen) return result[0];
    const fits = (metric) => Object.entries(metric).every(([name, value]) => name === "__name__" || (chosen[name] ?? value) === value);
    return result.find((series) => fits(series.metric));
  }

  const values = (series) => new Map((series?.values || []).map(([time, value]) => [Math.round(time * 1000), Number(value)]));
  const finite = (value) => (Number.isFinite(value) ? value : null);

  // At every reading: its own time, and the values of the first step that has seen it.
  function byReading(read, lines) {
    const seen = new Map();
    for (const [step, time] of values(read)) if (!seen.has(time)) seen.set(time, step);
    const times = [...seen.keys()].sort((a, b) => a - b);
    const gaps = times.slice(1).map((time, nth) => time - times[nth]).sort((a, b) => a - b);
    const longest = Math.max(45, 3 * (gaps[gaps.length >> 1] || 0));
    const data = [[], ...lines.map(() => [])];
    times.forEach((time, nth) => {
      if (nth && time - times[nth - 1] > longest) {
        data[0].push(time - 0.001);
        lines.forEach((_, line) => data[line + 1].push(null));
      }
      data[0].push(time);
      lines.forEach((line, at) => data[at + 1].push(finite(line.get(seen.get(time)))));
    });
    return data;
  }

  // At every step of the question.
  function byStep(spec, lines) {
    const step = spec.step * 1000;
    const count = Math.floor((spec.to - spec.from) / step) + 1;
    const times = Array.from({ length: count }, (_, nth) => Math.round(spec.from + nth * step));
    return [times.map((time) => time / 1000), ...lines.map((line) => times.map((time) => finite(line.get(time))))];
  }

  async function load(graph) {
    const spec = graph.spec;
    graph.abort?.abort();
    graph.abort = new AbortController();
    const signal = graph.abort.signal;
    // Young views show readings; long ones show steps that hold several readings each.
    const dots = spec.readings && spec.step <= 5;
    const asked = [...spec.lines.map((line) => line.expr), ...(dots ? [spec.readings] : [])];
    const results = await Promise.all(asked.map((expr) => ask(expr, spec, signal)));
    if (spec.many) {
      const all = results[0].slice(0, 20);
      graph.names = all.map((series) => name(series.metric));
      return byStep(spec, all.map(values));
    }
    const read = dots && results.pop()[0];
    const lines = results.map((result) => values(pick(result, spec.chosen)));
    return read ? byReading(read, lines) : byStep(spec, lines);
  }

  function name(metric) {
    const { __name__: head = "", ...rest } = metric;
    const labels = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
    return labels.length ? `${head}{${labels.join(", ")}}` : head || "{}";
  }

  // Stretches without any value: before the first, after the last, and where the line is broken.
  function unmeasured(graph) {
    const [times, ...lines] = graph.data;
    const { from, to } = graph.spec;
    const known = times.filter((_, at) => lines.some((line) => line[at] !== null));
    if (!known.length) return [[from / 1000, to / 1000]];
    const holes = [[from / 1000, known[0]], [known[known.length - 1], to / 1000]];
    times.forEach((_, at) => {
      if (lines.every((line) => line[at] === null)) {
        const before = times.slice(0, at).findLastIndex((_, earlier) => lines.some((line) => line[earlier] !== null));
        const after = times.findIndex((_, later) => later > at && lines.some((line) => line[later] !== null));
        if (before >= 0 && after >= 0) holes.push([times[before], times[after]]);
      }
    });
    return holes;
  }

  function hatch(u, graph) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const gap = 6 * devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = css("--line");
    ctx.lineWidth = devicePixelRatio;
    const seen = new Set();
    for (const [from, to] of unmeasured(graph)) {
      const [x0, x1] = [from, to].map((time) => Math.min(left + width, Math.max(left, u.valToPos(time, "x", true))));
      if (x1 - x0 < 2 || seen.has(x0)) continue;
      seen.add(x0);
      ctx.save();
      ctx.beginPath();
      ctx.rect(x0, top, x1 - x0, height);
      ctx.clip();
      ctx.beginPath();
      for (let x = x0 - (x0 % gap) - height; x < x1 + gap; x += gap) {
        ctx.moveTo(x, top + height);
        ctx.lineTo(x + height * 0.6, top);
      }
      ctx.stroke();
      ctx.restore();
    }
    ctx.restore();
  }

  function limit(u, graph) {
    const { threshold } = graph.spec;
    if (threshold === null || threshold === undefined) return;
    const y = u.valToPos(threshold, "y", true);
    const { left, width } = u.bbox;
    u.ctx.save();
    u.ctx.strokeStyle = css("--pend-ink");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
    u.ctx.beginPath();
    u.ctx.moveTo(left, y);
    u.ctx.lineTo(left + width, y);
    u.ctx.stroke();
    u.ctx.restore();
    const label = (graph.label ||= graph.place.appendChild(Object.assign(document.createElement("span"), { className: "limit" })));
    label.textContent = graph.spec.thresholdText;
    // Above the line, unless that is outside.
    const top = y / devicePixelRatio - 16;
    label.style.top = `${top < 0 ? top + 18 : top}px`;
  }

  // Changes: a dashed line each, its letter above it. Letters that would lie on one another are left out, lines are not.
  function changes(u, graph) {
    graph.letters?.forEach((letter) => letter.remove());
    graph.letters = [];
    const { left, top, width, height } = u.bbox;
    let free = -Infinity;
    for (const [time, word] of [...(graph.spec.marks || [])].sort((a, b) => a[0] - b[0])) {
      const x = u.valToPos(time / 1000, "x", true);
      if (x < left || x > left + width) continue;
      u.ctx.save();
      u.ctx.strokeStyle = css("--ink3");
      u.ctx.lineWidth = devicePixelRatio;
      u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      u.ctx.beginPath();
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, top + height);
      u.ctx.stroke();
      u.ctx.restore();
      const at = x / devicePixelRatio;
      if (at - free < 18) continue;
      free = at;
      const letter = Object.assign(document.createElement("span"), { className: "letter", textContent: word });
      letter.style.left = `${at}px`;
      graph.letters.push(graph.place.appendChild(letter));
    }
  }

  // Values at the cursor, or the newest ones.
  function legend(graph) {
    const [, ...lines] = graph.data;
    const at = graph.plot?.cursor.idx;
    const write = (!graph.spec.many && WRITE[graph.spec.kind]) || plain;
    lines.forEach((line, nth) => {
      const value = at === null || at === undefined ? line.findLast((one) => one !== null) : line[at];
      const place = graph.figure.querySelector(`[data-value="${nth}"]`);
      if (place) place.textContent = value === null || value === undefined ? "–" : write(value);
    });
    const time = at === null || at === undefined ? null : graph.data[0][at];
    lanes(graph, time ?? null);
    graph.chip.hidden = time === null || time === undefined;
    if (graph.chip.hidden) {
      graph.chipAt = null;
      if (graph.plot) giveWay(graph);
      return;
    }
    graph.chip.textContent = (graph.spec.to - graph.spec.from > 172800000 ? (t) => `${atDay(t)} ${atMinute(t)}` : atSecond)(time);
    const half = 34;
    const x = graph.plot.valToPos(time, "x") + GUTTER;
    graph.chipAt = Math.min(graph.place.clientWidth - half, Math.max(half, x));
    graph.chip.style.left = `${graph.chipAt}px`;
    giveWay(graph);
  }

  // The cursor goes through all lanes of a view, also those that the server has drawn.
  function lanes(graph, time) {
    const all = graph.figure.closest(".lanes");
    if (!all) return;
    const { from, to } = graph.spec;
    if (time === null) delete all.dataset.at;
    else {
      all.dataset.at = time;
      all.style.setProperty("--at", Math.min(1, Math.max(0, (time * 1000 - from) / (to - from))));
    }
    for (const lane of all.querySelectorAll("[data-lines]")) {
      const { span, buckets } = JSON.parse(lane.dataset.lines);
      const place = lane.querySelector("[data-at-cursor]");
      if (time === null) {
        place.textContent = plain(buckets.reduce((sum, bucket) => sum + bucket[1], 0));
        continue;
      }
      const [, count, grave, errors] = buckets.find(([start]) => start <= time * 1000 && time * 1000 < start + span) || [0, 0, 0, 0];
      const worse = [[errors, "errors"], [grave - errors, "warnings"]].filter(([number]) => number > 0);
      place.textContent = [`${plain(count)} in ${seconds(span / 1000)}`, ...worse.map(([number, word]) => `${plain(number)} ${word}`)].join(", ");
    }
  }

  // Over a lane without a graph the pointer moves the cursor of the first graph, and with it all others.
  document.addEventListener("pointermove", (event) => {
    const drawn = event.target.closest?.(".lanes .drawn");
    const all = drawn?.closest(".lanes");
    if (!drawn) return;
    const graph = [...graphs.values()].find((one) => one.plot && all.contains(one.figure));
    const box = drawn.getBoundingClientRect();
    if (!graph || !box.width) return;
    const { from, to } = graph.spec;
    move(graph, (from + ((event.clientX - box.left) / box.width) * (to - from)) / 1000);
  });

  // Words under the chip are left out; the canvas is drawn again only when others are under it than before.
  function giveWay(graph) {
    const under = (graph.marks || []).filter((mark) => covered(graph, mark)).join();
    if (under === (graph.under || "")) return;
    graph.under = under;
    graph.plot.redraw(false, true);
  }

  function covered(graph, mark) {
    if (graph.chipAt === null || graph.chipAt === undefined) return false;
    const { from, to } = graph.spec;
    const x = GUTTER + ((mark * 1000 - from) / (to - from)) * (graph.place.clientWidth - GUTTER);
    return Math.abs(x - graph.chipAt) < 62;
  }

  function inside(graph, mark, window) {
    const [width, half] = [graph.place.clientWidth - GUTTER, window <= 900 ? 28 : 18];
    const x = ((mark - graph.spec.from / 1000) / window) * width;
    return x >= half - 24 && x <= width - half;
  }

  function axisTime(window) {
    return window <= 900 ? atSecond : window <= 90000 ? atMinute : atDay;
  }

  function options(graph) {
    const { spec, place } = graph;
    const window = (spec.to - spec.from) / 1000;
    const count = graph.data.length - 1;
    const points = graph.data[0].length;
    const write = MARK[spec.kind] || plain;
    const quiet = { stroke: () => css("--ink3"), font: `12px ${css("--text")}`, ticks: { show: false } };
    const free = spec.many;
    return {
      width: place.clientWidth,
      height: place.clientHeight,
      padding: [6, 0, 0, 0],
      legend: { show: false },
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), zone),
      scales: {
        x: { range: () => [spec.from / 1000, spec.to / 1000] },
        y: {
          range: (_, seenLow, seenHigh) => {
            if (free) return uPlot.rangeNum(seenLow ?? 0, seenHigh ?? 1, 0.1, true);
            // The point before the left edge counts too: the line comes from there.
            const known = graph.data.slice(1).flat().filter((value) => value !== null);
            const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
            const reach = Math.max(high, spec.threshold ?? 0);
            const top = nice(Math.max(reach, (spec.least ?? 0) / 1.15) * 1.15);
            // An axis never ends above what is possible, if a round number is near.
            return [low < 0 ? -nice(-low * 1.15) : 0, spec.most && top > spec.most && reach <= spec.most ? spec.most : top];
          },
        },
      },
      axes: [
        {
          ...quiet, size: 28, gap: 8, space: window <= 900 ? 84 : 64, grid: { show: false },
          // A word at the very edge would be cut.
          values: (_, marks) => {
            graph.marks = marks;
            return marks.map((mark) => (inside(graph, mark, window) && !covered(graph, mark) ? axisTime(window)(mark) : ""));
          },
        },
        {
          ...quiet, size: GUTTER, gap: 6, grid: { stroke: () => css("--faint"), width: 1 },
          splits: free ? undefined : (u) => { const { min, max } = u.scales.y; return min < 0 ? [min, 0, max] : [0, max / 2, max]; },
          values: (_, marks) => marks.map((mark) => write(mark)),
        },
      ],
      series: [
        {},
        ...Array.from({ length: count }, (_, nth) => ({
          stroke: () => css(COLOURS[nth % COLOURS.length]),
          width: nth === 0 || free ? 1.5 : 1.25,
          fill: nth === 0 && !free ? () => tint() : undefined,
          points: { show: points <= FEW, size: 5, width: 0, fill: () => css(COLOURS[nth % COLOURS.length]) },
        })),
      ],
      cursor: {
        sync: { key: sync.key, setSeries: false },
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false },
        y: false,
      },
      hooks: {
        drawClear: [(u) => hatch(u, graph)],
        draw: [(u) => limit(u, graph), (u) => changes(u, graph)],
        setCursor: [() => legend(graph)],
        setSelect: [(u) => zoom(u)],
      },
    };
  }

  // The first line's colour, thin enough to see the grid through.
  function tint() {
    const probe = css("--accent");
    return `${probe}1a`;
  }

  // What was dragged over becomes the time of the view.
  function zoom(u) {
    if (u.select.width < 8) return;
    const [from, to] = [u.select.left, u.select.left + u.select.width].map((x) => new Date(u.posToVal(x, "x") * 1000));
    const url = new URL(location.href);
    url.searchParams.delete("at");
    url.searchParams.set("from", `${from.toISOString().slice(0, 19)}Z`);
    url.searchParams.set("to", `${to.toISOString().slice(0, 19)}Z`);
    location.assign(url);
  }

  function sentence(graph, text) {
    const place = (graph.sentence ||= graph.place.appendChild(Object.assign(document.createElement("p"), { className: "sentence" })));
    place.textContent = text;
    place.hidden = !text;
  }

  async function draw(graph) {
    let data;
    try {
      data = await load(graph);
    } catch (error) {
      if (error.name === "AbortError") return;
      // A graph that stands is better than none; the view says that nothing answers.
      if (!graph.plot) sentence(graph, `Not drawn: ${error.message}`);
      return;
    }
    graph.data = data;
    const few = data[0].length <= FEW;
    const alike = graph.plot && graph.plot.series.length === data.length && graph.few === few;
    if (alike) {
      graph.plot.setData(data);
    } else {
      graph.few = few;
      graph.plot?.destroy();
      graph.plot = new uPlot(options(graph), data, graph.place);
      graph.plot.over.addEventListener("click", () => pin(graph));
      pinned(graph);
    }
    const some = data.slice(1).some((line) => line.some((value) => value !== null));
    sentence(graph, some ? "" : "nothing was measured in this time");
    legend(graph);
    if (graph.spec.many) manyLegend(graph);
  }

  function manyLegend(graph) {
    const list = (graph.list ||= graph.figure.appendChild(Object.assign(document.createElement("ul"), { className: "many-legend" })));
    list.dataset.keep = "";
    list.replaceChildren(...graph.names.map((name, nth) => {
      const row = document.createElement("li");
      const stroke = Object.assign(document.createElement("i"), { className: `c${nth % COLOURS.length}` });
      const value = document.createElement("b");
      value.dataset.value = nth;
      row.append(stroke, `${name} `, value);
      return row;
    }));
    legend(graph);
  }

  // The cursor's time stands in the address, so that a copied link shows the same moment.
  function pin(graph) {
    const at = graph.plot.cursor.idx;
    if (at === null || at === undefined) return;
    const url = new URL(location.href);
    url.searchParams.set("at", Math.round(graph.data[0][at]));
    history.replaceState(null, "", url);
  }

  function pinned(graph) {
    const at = Number(new URL(location.href).searchParams.get("at"));
    if (at >= graph.spec.from / 1000 && at <= graph.spec.to / 1000) move(graph, at);
  }

  function move(graph, time) {
    graph.plot.setCursor({ left: graph.plot.valToPos(time, "x"), top: 0 });
  }

  function step(by) {
    const graph = [...graphs.values()].find((one) => one.plot && one.figure.isConnected);
    if (!graph) return;
    const times = graph.data[0];
    const at = graph.plot.cursor.idx ?? times.length;
    const next = Math.min(times.length - 1, Math.max(0, at + by));
    move(graph, times[next]);
    pin(graph);
  }

  function all() {
    for (const [figure, graph] of graphs) {
      if (figure.isConnected) continue;
      graph.plot?.destroy();
      graphs.delete(figure);
    }
    for (const figure of document.querySelectorAll("[data-graph]")) {
      const spec = JSON.parse(figure.dataset.graph);
      if (spec.live) {
        // The window moves with the server's clock, on whole steps so that points do not jitter.
        const width = spec.to - spec.from;
        const fine = Math.min(spec.step, 1) * 1000;
        spec.to = Math.floor((Date.now() + ahead) / fine) * fine;
        spec.from = spec.to - width;
        if (spec.step > 5) [spec.from, spec.to] = [spec.from, spec.to].map((time) => Math.floor(time / (spec.step * 1000)) * spec.step * 1000);
      }
      let graph = graphs.get(figure);
      if (!graph) {
        const place = figure.querySelector(".plot");
        const chip = Object.assign(document.createElement("span"), { className: "chip", hidden: true });
        place.append(chip);
        graph = { figure, place, chip, data: [[]], plot: null };
        graphs.set(figure, graph);
        resized.observe(place);
      } else if (!spec.live && graph.plot) {
        continue; // A fixed time is drawn once.
      }
      graph.spec = spec;
      draw(graph);
    }
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const graph = graphs.get(target.closest("[data-graph]"));
      if (graph?.plot && (graph.plot.width !== target.clientWidth || graph.plot.height !== target.clientHeight)) {
        graph.plot.setSize({ width: target.clientWidth, height: target.clientHeight });
      }
    }
  });

  // Colours are the sheet's: when it goes dark, so does the canvas.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graphs.forEach((graph) => graph.plot?.redraw(false)));
  document.addEventListener("skopos:fresh", all);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  all();
})();
