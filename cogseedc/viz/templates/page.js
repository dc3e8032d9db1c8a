/* What the reader does: open and close seeds, select, search, pan and zoom; the state lives in the hash. */
const MOST_VISIBLE = 1500, INITIALLY = 60;
const byId = (id) => document.getElementById(id);
const graph = JSON.parse(byId("graph").textContent);
const stage = byId("stage"), world = byId("world");
const layers = { backs: byId("backs"), wires: byId("wires"), boxes: byId("boxes"), labels: byId("labels") };
const view = { color: "kind", weights: false, mostMacs: 0 };
const camera = { x: 0, y: 0, k: 1 };
let model = buildModel(graph, false), open = new Set(), selected = null, layout = null;

function initiallyOpen() {
  const visible = model.nodes.size;
  if (visible <= INITIALLY) return allOpen((box) => !box.folded);
  const found = new Set();
  let shown = model.root.children.length, level = model.root.children;
  while (level.length) {
    const inner = level.filter((b) => b.isContainer && !b.folded);
    const next = inner.flatMap((b) => b.children);
    if (shown + next.length > INITIALLY / 2) break;
    inner.forEach((b) => found.add(b.key));
    shown += next.length;
    level = next;
  }
  return found;
}

function allOpen(wanted = () => true) {
  const found = new Set(), queue = [...model.root.children];
  let shown = queue.length;
  for (let i = 0; i < queue.length; i++) {
    const box = queue[i];
    if (!box.isContainer || !wanted(box)) continue;
    if (shown + box.children.length > MOST_VISIBLE) { say(`${MOST_VISIBLE} boxes are shown at once; open the others one by one`); break; }
    shown += box.children.length;
    found.add(box.key);
    queue.push(...box.children);
  }
  return found;
}

function render(anchor) {
  const before = anchor && placeOf(anchor);
  layout = layoutAll(model, open);
  view.mostMacs = Math.max(0, ...graph.nodes.map((n) => n.macs), ...model.root.children.map((b) => b.macs));
  drawAll(model, layout, layers, view);
  const after = anchor && placeOf(anchor);
  if (before && after) { camera.x += (before.x - after.x) * camera.k; camera.y += (before.y - after.y) * camera.k; }
  move();
  highlight();
  document.documentElement.dataset.ready = String(layers.boxes.childElementCount);
}

function placeOf(box) { return layout ? layout.boxes.find((p) => p.box === box) : null; }

function move() {
  world.setAttribute("transform", `translate(${camera.x.toFixed(1)} ${camera.y.toFixed(1)}) scale(${camera.k.toFixed(4)})`);
  byId("zoom").textContent = Math.round(camera.k * 100) + " %";
  drawMap();
}

/** Whole width in sight; a long network starts at its top, in a size that can be read. */
function fit(whole) {
  const w = stage.clientWidth - 64, h = stage.clientHeight - 64;
  const all = Math.min(w / layout.width, h / layout.height, 1.25);
  camera.k = whole ? Math.max(all, 0.02) : Math.max(all, Math.min(0.8, Math.max(w / layout.width, 0.3)));
  camera.x = 32 + (w - layout.width * camera.k) / 2;
  camera.y = 32 + Math.max(0, (h - layout.height * camera.k) / 2);
  if (!whole && layout.width * camera.k > w) camera.x = centreOfFirst(w);
  move();
}

function centreOfFirst(w) {
  const top = layout.boxes.filter((p) => p.box !== model.root).sort((a, b) => a.y - b.y)[0];
  return top ? 32 + w / 2 - (top.x + top.width / 2) * camera.k : 32;
}

function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const k = Math.max(0.02, Math.min(4, camera.k * factor));
  camera.x = x - (x - camera.x) * (k / camera.k);
  camera.y = y - (y - camera.y) * (k / camera.k);
  camera.k = k;
  move();
}

function toggle(box) {
  if (open.has(box.key)) open.delete(box.key); else open.add(box.key);
  render(box);
  const element = world.querySelector(`[data-key="${CSS.escape(box.key)}"]`);
  if (element) element.focus({ preventScroll: true });
  remember();
}

function select(box, reveal) {
  selected = box;
  if (box && reveal) {
    const closed = box.ancestors().filter((a) => a !== model.root && !open.has(a.key));
    if (closed.length) { closed.forEach((a) => open.add(a.key)); render(); }
    centre(box);
  }
  showDetails(byId("details"), model, box, select);
  const span = box && (box.node ? box.node.span : definitionOf(model, box.label));
  if (span && span.file in graph.sources) openSource(span.file, span.line);
  highlight();
  remember();
}

function centre(box) {
  const p = placeOf(box);
  if (!p) return;
  camera.k = Math.max(camera.k, 0.7);
  camera.x = stage.clientWidth / 2 - (p.x + p.width / 2) * camera.k;
  camera.y = stage.clientHeight / 2 - (p.y + Math.min(p.height, stage.clientHeight / camera.k) / 2) * camera.k;
  move();
}

/** Marks the selected box, its wires and, for a gate, all that it governs. */
function highlight() {
  const governed = new Set();
  if (selected?.node?.kind === "gate") {
    for (const c of graph.controls) if (c.source === selected.node.id) governed.add("n:" + c.target);
  }
  for (const g of world.querySelectorAll("[data-key]")) {
    g.classList.toggle("selected", Boolean(selected) && g.dataset.key === selected.key);
    g.classList.toggle("governed", governed.has(g.dataset.key));
  }
  for (const w of world.querySelectorAll("[data-from]")) {
    w.classList.toggle("lit", Boolean(selected) && (w.dataset.from === selected.key || w.dataset.to === selected.key));
  }
}

function openSource(file, line) {
  const names = Object.keys(graph.sources);
  byId("files").replaceChildren(...names.map((name) =>
    el("button", { role: "tab", "aria-selected": String(name === file), onclick: () => openSource(name, 0) }, name)));
  showSource(byId("source"), model, file, line, pickLine);
}

function pickLine(file, line) {
  const found = [...model.nodes.values()].filter((b) => b.node.span?.file === file && b.node.span.line === line);
  if (!found.length) return;
  const i = found.indexOf(selected);
  select(found[(i + 1) % found.length], true);
}

function search(text) {
  const wanted = text.trim().toLowerCase(), list = byId("hits");
  if (!wanted) { list.hidden = true; list.replaceChildren(); return []; }
  const boxes = [...model.nodes.values(), ...[...model.containers.values()].filter((b) => b !== model.root && b.parent)];
  const says = (b) => (b.node ? [b.node.label, b.node.path, b.node.kind, b.node.types.join(" "),
    ...Object.entries(b.node.attributes).map(([k, v]) => k + "=" + v)] : [b.label, b.path]).join("\n").toLowerCase();
  const hits = boxes.filter((b) => says(b).includes(wanted));
  list.hidden = false;
  list.dataset.count = String(hits.length);
  list.replaceChildren(el("li", { class: "count" }, `${hits.length} found`), ...hits.slice(0, 60).map((b) =>
    el("li", {}, el("button", { "data-goto": b.key, onclick: () => { select(b, true); list.hidden = true; } },
      el("b", {}, b.label), el("span", {}, b.path)))));
  return hits;
}

function legend() {
  const swatch = (name, text) => el("li", {}, el("i", { class: name }), text);
  let items;
  if (view.color === "macs") items = [el("li", {}, "few"), el("li", { class: "ramp" }), el("li", {}, "many MACs")];
  else if (view.color === "bits") {
    items = [...new Set(graph.nodes.map((n) => n.bits).filter(Boolean))].sort().map((b) => swatch("b-" + bitsClass(b), b));
  } else {
    const used = new Set([...model.nodes.values()].map((b) => classOf(b.node)));
    if (graph.containers.length) used.add("seed");
    items = Object.entries(CLASS_NAMES).filter(([name]) => used.has(name)).map(([name, text]) => swatch("f-" + name, text));
  }
  items.push(el("li", { class: "line-data" }, "value"));
  if (graph.controls.length) items.push(el("li", { class: "line-control" }, "runs only when"));
  byId("legend").replaceChildren(...items);
}

function drawMap() {
  const map = byId("map");
  if (!layout || !layout.width) return;
  const full = layout.width * camera.k <= stage.clientWidth && layout.height * camera.k <= stage.clientHeight;
  map.hidden = full;
  if (full) return;
  const k = Math.min(170 / layout.width, 210 / layout.height), scale = window.devicePixelRatio || 1;
  const w = Math.max(30, layout.width * k), h = Math.max(30, layout.height * k);
  map.width = w * scale; map.height = h * scale;
  map.style.width = w + "px"; map.style.height = h + "px";
  map.dataset.scale = String(k);
  const c = map.getContext("2d"), colors = getComputedStyle(document.documentElement);
  c.scale(scale, scale);
  for (const p of layout.boxes) {
    if (p.box === model.root) continue;
    c.fillStyle = colors.getPropertyValue(p.open ? "--map-open" : p.box.node?.kind === "gate" ? "--control" : "--map-box");
    c.fillRect(p.x * k, p.y * k, Math.max(1, p.width * k), Math.max(1, p.height * k));
  }
  c.strokeStyle = colors.getPropertyValue("--accent");
  c.lineWidth = 1.5;
  c.strokeRect((-camera.x / camera.k) * k, (-camera.y / camera.k) * k, (stage.clientWidth / camera.k) * k, (stage.clientHeight / camera.k) * k);
}

function say(text) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  setTimeout(() => { toast.hidden = true; }, 4000);
}

/* The hash: #open=a,b&select=12&color=macs&weights=1&theme=dark, also expand=all and expand=none. */
function remember() {
  const state = new URLSearchParams();
  if (open.size) state.set("open", [...open].join(",").slice(0, 1500));
  if (selected) state.set("select", selected.node ? String(selected.node.id) : selected.key);
  if (view.color !== "kind") state.set("color", view.color);
  if (view.weights) state.set("weights", "1");
  if (document.documentElement.dataset.theme) state.set("theme", document.documentElement.dataset.theme);
  try { history.replaceState(null, "", "#" + state); } catch { /* some hosts of frames forbid it; then no permalink */ }
}

function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (["light", "dark"].includes(state.get("theme"))) document.documentElement.dataset.theme = state.get("theme");
  if (["kind", "macs", "bits"].includes(state.get("color"))) view.color = state.get("color");
  view.weights = state.get("weights") === "1";
  model = buildModel(graph, view.weights);
  if (state.get("expand") === "all") open = allOpen();
  else if (state.get("expand") === "none") open = new Set();
  else if (state.has("open")) open = new Set(state.get("open").split(","));
  else open = initiallyOpen();
  return state.get("select");
}

function boxNamed(name) {
  if (name === null) return null;
  if (/^\d+$/.test(name)) return model.nodes.get(Number(name)) || null;
  return [...model.containers.values()].find((b) => b.key === name || b.container.id === name) || null;
}

function rebuild() {
  const name = selected && (selected.node ? String(selected.node.id) : selected.key);
  model = buildModel(graph, view.weights);
  known.clear();
  selected = boxNamed(name);
  legend();
  render();
  remember();
}

function boxOf(target) {
  const element = target.closest?.("[data-key], [data-head]");
  if (!element) return null;
  const key = element.dataset.key ?? element.dataset.head;
  return layout.boxes.find((p) => p.box.key === key)?.box || null;
}

/** The next box along wires (up, down) or beside (left, right). */
function neighbour(box, key) {
  if (key === "ArrowDown") return layout.wires.find((w) => w.source === box)?.target;
  if (key === "ArrowUp") return layout.wires.find((w) => w.target === box)?.source;
  const here = placeOf(box), step = key === "ArrowRight" ? 1 : -1;
  const row = layout.boxes.filter((p) => !p.open && Math.abs(p.y - here.y) < 30 && (p.x - here.x) * step > 0);
  return row.sort((a, b) => (a.x - b.x) * step)[0]?.box;
}

function onKey(event) {
  if (event.target.closest("input, select, #side")) return;
  const box = boxOf(event.target);
  const commands = {
    "/": () => byId("search").focus(), e: () => setOpen(allOpen()), c: () => setOpen(new Set()), f: () => fit(true), 0: () => fit(true),
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), Escape: () => select(null, false),
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (box && (event.key === "Enter" || event.key === " ")) {
    if (box.isContainer) toggle(box); else select(box, false);
  } else if (box && event.key.startsWith("Arrow")) {
    const next = neighbour(box, event.key);
    if (!next) return;
    select(next, true);
    world.querySelector(`[data-key="${CSS.escape(next.key)}"]`)?.focus({ preventScroll: true });
  } else if (commands[event.key]) commands[event.key]();
  else return;
  event.preventDefault();
}

function setOpen(keys) {
  open = keys;
  render();
  fit(false);
  remember();
}

function listen() {
  let drag = null;
  stage.addEventListener("pointerdown", (e) => {
    if (e.button === 0) drag = { x: e.clientX, y: e.clientY, far: false };
  });
  window.addEventListener("pointermove", (e) => {
    if (!drag) return;
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    camera.x += dx; camera.y += dy;
    drag = { x: e.clientX, y: e.clientY, far: true };
    stage.classList.add("dragging");
    move();
  });
  window.addEventListener("pointerup", () => { setTimeout(() => { drag = null; stage.classList.remove("dragging"); }, 0); });
  stage.addEventListener("click", (e) => {
    if (drag && drag.far) return;
    const box = boxOf(e.target);
    if (box && e.target.closest("[data-toggle]")) toggle(box);
    else select(box, false);
  });
  stage.addEventListener("dblclick", (e) => {
    const box = boxOf(e.target);
    if (box?.isContainer && !e.target.closest("[data-toggle]")) toggle(box);
  });
  stage.addEventListener("wheel", (e) => {
    e.preventDefault();
    const r = stage.getBoundingClientRect();
    if (e.ctrlKey || !e.shiftKey) zoom(Math.exp(-e.deltaY * (e.ctrlKey ? 0.01 : 0.0016)), e.clientX - r.left, e.clientY - r.top);
    else { camera.x -= e.deltaY; move(); }
  }, { passive: false });
  byId("map").addEventListener("pointerdown", (e) => {
    const k = Number(byId("map").dataset.scale);
    camera.x = stage.clientWidth / 2 - (e.offsetX / k) * camera.k;
    camera.y = stage.clientHeight / 2 - (e.offsetY / k) * camera.k;
    move();
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("resize", move);
  byId("expand").addEventListener("click", () => setOpen(allOpen()));
  byId("collapse").addEventListener("click", () => setOpen(new Set()));
  byId("fit").addEventListener("click", () => fit(true));
  byId("in").addEventListener("click", () => zoom(1.25));
  byId("out").addEventListener("click", () => zoom(0.8));
  byId("weights").addEventListener("change", (e) => { view.weights = e.target.checked; rebuild(); });
  byId("color").addEventListener("change", (e) => { view.color = e.target.value; document.documentElement.dataset.color = view.color; legend(); render(); remember(); });
  byId("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    move();
    remember();
  });
  byId("search").addEventListener("input", (e) => search(e.target.value));
  byId("search").addEventListener("keydown", (e) => {
    if (e.key === "Escape") { e.target.value = ""; search(""); e.target.blur(); }
    if (e.key === "Enter") { const hits = search(e.target.value); if (hits.length) select(hits[(hits.indexOf(selected) + 1) % hits.length], true); }
  });
}

function start() {
  document.title = graph.name + " · cogseedc";
  byId("name").textContent = graph.name;
  const wanted = recall();
  byId("color").value = view.color;
  byId("weights").checked = view.weights;
  document.documentElement.dataset.color = view.color;
  listen();
  legend();
  render();
  fit(false);
  const first = Object.keys(graph.sources)[0];
  if (first) openSource(first, 0);
  else byId("side").classList.add("without-source");
  const box = boxNamed(wanted);
  if (box) select(box, true); else showDetails(byId("details"), model, null, select);
}

start();
