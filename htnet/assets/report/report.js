"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.body.classList.add("scripted");
  const SVG = "http://www.w3.org/2000/svg", LEFT = 138, RIGHT = 14, ROW = 20, CURVE = 46;
  const KINDS = ["micro", "macro", "blink", "head", "speech"];
  const end = Math.max(data.duration, 0.001);
  const view = document.getElementById("timeline"), map = document.getElementById("overview");
  const where = document.getElementById("where"), rows = [...document.querySelectorAll("tr[data-event]")];
  const shown = new Set(KINDS);
  let from = 0, to = end, chosen = -1, width = 800, waiting = false;

  const make = (name, set, parent, text) => {
    const one = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(set)) one.setAttribute(key, value);
    if (text !== undefined) one.textContent = text;
    parent.append(one);
    return one;
  };
  const x = (time) => LEFT + (time - from) / (to - from) * (width - LEFT - RIGHT);
  const clock = (time, digits) => {
    const minutes = Math.floor(time / 60), seconds = (time - 60 * minutes).toFixed(digits);
    return minutes + ":" + seconds.padStart(digits ? 3 + digits : 2, "0");
  };
  const step = (span) => {
    const want = span / Math.max(3, (width - LEFT) / 95);
    for (const one of [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600]) if (one >= want) return one;
    return 7200;
  };
  const span = (parent, kind, start, stop, top, height, title) => {
    if (stop < from || start > to) return;
    const low = Math.max(x(start), LEFT), high = Math.min(x(stop), width - RIGHT);
    const one = make("rect", {class: kind, x: low, y: top, width: Math.max(high - low, 1), height}, parent);
    if (title) make("title", {}, one, title);
  };

  // One path through the curve, of each column of pixels its least and its largest value; gaps stay open.
  const path = (times, values, top, low, high) => {
    const y = (value) => top + CURVE - 6 - (value - low) / (high - low) * (CURVE - 12);
    let first = 0, past = times.length, out = "", open = false, column = -1, least = 0, most = 0, last = 0;
    while (first < past) { const mid = first + past >> 1; if (times[mid] < from) first = mid + 1; else past = mid; }
    const put = () => { if (column >= 0) { out += (open ? "L" : "M") + column + " " + y(least).toFixed(1) + (most > least ? "L" + column + " " + y(most).toFixed(1) : "") + "L" + column + " " + y(last).toFixed(1); open = true; } column = -1; };
    for (let k = Math.max(first - 1, 0); k < times.length; k++) {
      const value = values[k];
      if (k && data.missing.some((part) => times[k - 1] <= part.start && times[k] >= part.end)) { put(); open = false; }
      if (value === null) { put(); open = false; continue; }
      const at = Math.round(x(times[k]) * 2) / 2;
      if (at !== column) { put(); column = at; least = most = value; }
      least = Math.min(least, value); most = Math.max(most, value); last = value;
      if (times[k] > to) break;
    }
    put();
    return out;
  };

  const draw = () => {
    waiting = false;
    width = Math.max(view.parentElement.clientWidth, 320);
    view.replaceChildren();
    const clip = make("clipPath", {id: "inside"}, make("defs", {}, view));
    const box = make("rect", {x: LEFT, y: 0, width: width - LEFT - RIGHT, height: 10}, clip);
    const back = make("g", {"clip-path": "url(#inside)"}, view), grid = make("g", {}, view), front = make("g", {}, view);
    let top = 26;
    const kinds = KINDS.filter((kind) => shown.has(kind) && data.events.some((event) => event.kind === kind));
    for (const face of data.faces) {
      const start = top;
      make("text", {class: "face", x: 10, y: top + 12}, front, "face " + face.track);
      make("text", {x: 56, y: top + 12}, front, clock(face.start, 0) + "–" + clock(face.end, 0));
      top += 20;
      for (const kind of kinds) {
        make("text", {class: "name", x: 10, y: top + 14}, front, kind);
        make("line", {class: "grid", x1: LEFT, x2: width - RIGHT, y1: top + ROW, y2: top + ROW}, grid);
        data.events.forEach((event, k) => {
          if (event.track !== face.track || event.kind !== kind || event.end < from || event.start > to) return;
          const low = Math.max(x(event.start), LEFT), high = Math.min(x(event.end), width - RIGHT);
          const mark = make("rect", {class: "mark " + kind + (k === chosen ? " chosen" : ""), x: low, y: top + 4, rx: 2,
            width: Math.max(high - low, 3), height: ROW - 7, "data-event": k}, front);
          make("title", {}, mark, event.text);
        });
        top += ROW;
      }
      for (const curve of face.curves) {
        const low = curve.low, high = curve.high;
        make("text", {class: "name", x: 10, y: top + 20}, front, curve.name);
        make("text", {x: 10, y: top + 34}, front, curve.unit);
        make("line", {class: "grid", x1: LEFT, x2: width - RIGHT, y1: top + CURVE, y2: top + CURVE}, grid);
        make("text", {x: LEFT - 4, y: top + 14, "text-anchor": "end"}, front, curve.high);
        make("text", {x: LEFT - 4, y: top + CURVE - 4, "text-anchor": "end"}, front, curve.low);
        curve.lines.forEach((line, n) => {
          make("path", {class: "curve", d: path(face.times, line.values, top, low, high), stroke: n ? "var(--head)" : "var(--accent)"}, back);
        });
        top += CURVE;
      }
      for (const gap of face.gaps) span(back, "gap", gap.start, gap.end, start, top - start, gap.reason + ": not measured, " + clock(gap.start, 2) + " to " + clock(gap.end, 2));
      if (face.start > 0) span(back, "gap", 0, face.start, start, top - start, "before the face appears");
      if (face.end < end) span(back, "gap", face.end, end, start, top - start, "after the face was last seen");
      top += 10;
    }
    if (!data.faces.length) { make("text", {x: LEFT, y: top + 14}, front, "no face was followed"); top += 30; }
    const height = top + 4, size = step(to - from);
    for (let tick = Math.ceil(from / size) * size; tick <= to + 1e-9; tick += size) {
      make("line", {class: "grid", x1: x(tick), x2: x(tick), y1: 20, y2: height}, grid);
      make("text", {x: x(tick), y: 14, "text-anchor": "middle"}, front, clock(tick, size < 0.1 ? 2 : size < 1 ? 1 : 0));
    }
    for (const part of data.missing) span(back, "missing", part.start, Math.max(part.end, part.start + 0.02), 20, height - 20, part.text);
    for (const cut of data.cuts) if (cut >= from && cut <= to) make("title", {}, make("line", {class: "cut", x1: x(cut), x2: x(cut), y1: 20, y2: height}, front), "another shot");
    if (chosen >= 0) { const event = data.events[chosen]; span(back, "band", event.start, event.end, 20, height - 20); }
    box.setAttribute("height", height);
    view.setAttribute("viewBox", "0 0 " + width + " " + height);
    view.setAttribute("height", height);
    where.textContent = clock(from, 2) + " to " + clock(to, 2) + " of " + clock(end, 2);
    overview();
  };

  const overview = () => {
    map.replaceChildren();
    map.setAttribute("viewBox", "0 0 " + width + " 30");
    map.setAttribute("height", 30);
    const at = (time) => LEFT + time / end * (width - LEFT - RIGHT);
    make("text", {x: 10, y: 19}, map, "overview");
    for (const event of data.events) if (shown.has(event.kind)) {
      const strong = event.kind === "micro" || event.kind === "macro";
      make("rect", {class: "mark " + event.kind, x: at(event.start), y: strong ? 6 : 18, width: Math.max(at(event.end) - at(event.start), 1.5), height: strong ? 10 : 5}, map);
    }
    make("rect", {class: "window", x: at(from), y: 2, width: Math.max(at(to) - at(from), 2), height: 25, rx: 3}, map);
  };

  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  const show = (low, high) => {
    const length = Math.min(Math.max(high - low, Math.min(0.4, end)), end);
    from = Math.min(Math.max(low, 0), end - length);
    to = from + length;
    later();
  };
  const zoom = (factor, about) => {
    const at = about === undefined ? (from + to) / 2 : about;
    const length = Math.min(Math.max((to - from) * factor, Math.min(0.4, end)), end), share = (at - from) / (to - from);
    show(at - share * length, at + (1 - share) * length);
  };
  const timeAt = (event, of) => {
    const edge = of.getBoundingClientRect(), place = (event.clientX - edge.left) * width / edge.width;
    return Math.min(Math.max((place - LEFT) / (width - LEFT - RIGHT), 0), 1);
  };
  const choose = (k, move) => {
    chosen = k;
    document.querySelectorAll(".chosen").forEach((one) => one.classList.remove("chosen"));
    const card = document.getElementById("event-" + k);
    document.querySelector(".cards .none").hidden = Boolean(card);
    if (card) card.classList.add("chosen");
    const row = rows.find((one) => Number(one.dataset.event) === k);
    if (row) { row.classList.add("chosen"); if (move) { const box = row.closest(".scroll"); box.scrollTop = row.offsetTop - box.clientHeight / 2; } }
    const event = data.events[k];
    if (move && event && (event.start < from || event.end > to)) show((event.start + event.end - to + from) / 2, (event.start + event.end + to - from) / 2);
    later();
  };
  const next = (by) => {
    const order = data.events.map((_, k) => k).filter((k) => shown.has(data.events[k].kind));
    if (!order.length) return;
    const at = order.indexOf(chosen);
    choose(order[at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length], true);
  };

  view.addEventListener("wheel", (event) => {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); const by = (event.deltaX || event.deltaY) / 600 * (to - from); show(from + by, to + by); return; }
    if (!event.ctrlKey && !event.altKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) / 400), from + timeAt(event, view) * (to - from));
  }, {passive: false});
  let grip = null;
  view.addEventListener("pointerdown", (event) => { grip = {at: event.clientX, from, to, moved: false, mark: event.target.dataset.event}; view.setPointerCapture(event.pointerId); });
  view.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const by = (grip.at - event.clientX) / (view.getBoundingClientRect().width * (width - LEFT - RIGHT) / width) * (grip.to - grip.from);
    if (Math.abs(grip.at - event.clientX) > 3) { grip.moved = true; view.classList.add("drag"); }
    if (grip.moved) show(grip.from + by, grip.to + by);
  });
  view.addEventListener("pointerup", () => { if (grip && !grip.moved && grip.mark !== undefined) choose(Number(grip.mark), true); grip = null; view.classList.remove("drag"); });
  view.addEventListener("pointercancel", () => { grip = null; view.classList.remove("drag"); });
  view.addEventListener("dblclick", (event) => zoom(0.4, from + timeAt(event, view) * (to - from)));
  const center = (event) => { const at = timeAt(event, map) * end, half = (to - from) / 2; show(at - half, at + half); };
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); center(event); });
  map.addEventListener("pointermove", (event) => { if (event.buttons) center(event); });

  const keys = {
    ArrowLeft: () => show(from - 0.2 * (to - from), to - 0.2 * (to - from)),
    ArrowRight: () => show(from + 0.2 * (to - from), to + 0.2 * (to - from)),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": () => show(0, end),
    n: () => next(1), p: () => next(-1),
    z: () => { const event = data.events[chosen]; if (event) { const half = Math.max(1.5 * (event.end - event.start), 1); show(event.start - half, event.end + half); } },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const row = event.target.closest && event.target.closest("tr[data-event]");
    if (row && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); choose(Number(row.dataset.event), false); return; }
    if (row && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const seen = rows.filter((one) => !one.hidden), other = seen[seen.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)];
      if (other) { other.focus(); choose(Number(other.dataset.event), false); }
      return;
    }
    if (keys[event.key] && !(event.target.tagName === "BUTTON" && event.key === " ")) { event.preventDefault(); keys[event.key](); }
  });
  document.querySelectorAll("[data-key]").forEach((one) => one.addEventListener("click", () => keys[one.dataset.key]()));
  document.querySelectorAll("[data-kind]").forEach((one) => one.addEventListener("click", () => {
    const on = one.getAttribute("aria-pressed") !== "true", kind = one.dataset.kind;
    one.setAttribute("aria-pressed", String(on));
    if (on) shown.add(kind); else shown.delete(kind);
    rows.forEach((row) => { row.hidden = !shown.has(data.events[Number(row.dataset.event)].kind); });
    later();
  }));
  rows.forEach((row) => row.addEventListener("click", () => choose(Number(row.dataset.event), false)));
  rows.forEach((row) => row.addEventListener("dblclick", () => { choose(Number(row.dataset.event), true); keys.z(); }));
  new ResizeObserver(later).observe(view.parentElement);
  let before = null;
  window.addEventListener("beforeprint", () => { before = [from, to]; from = 0; to = end; draw(); });
  window.addEventListener("afterprint", () => { if (before) show(before[0], before[1]); });
  draw();
  const best = data.events.map((event, k) => [event.kind === "micro" || event.kind === "macro" ? event.confidence || 0 : -1, k]).sort((a, b) => b[0] - a[0])[0];
  if (best && best[0] >= 0) choose(best[1], false);
})();
