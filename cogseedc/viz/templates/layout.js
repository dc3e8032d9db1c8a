/* Places boxes: one small dagre layout per open container, inside out; remembers layouts that did not change. */
const PAD = 16, HEADER = 32, PORT = 2;
const SEPARATION = { nodesep: 22, edgesep: 14, ranksep: 34, rankalign: "top" };
const known = new Map();
const ruler = document.createElement("canvas").getContext("2d");
const FONT = '"Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "DejaVu Sans", sans-serif';
const widths = new Map();

function textWidth(text, size, weight = 400) {
  const key = weight + " " + size + " " + text;
  if (!widths.has(key)) {
    ruler.font = `${weight} ${size}px ${FONT}`;
    widths.set(key, ruler.measureText(text).width);
  }
  return widths.get(key);
}

/** What a box says, and how large it is when it is drawn closed. */
function face(box) {
  if (box.face) return box.face;
  const lines = [];
  if (box.isContainer) {
    const facts = [`${box.ops} node${box.ops === 1 ? "" : "s"}`];
    if (box.macs) facts.push(amount(box.macs) + " MACs");
    if (box.parameters) facts.push(amount(box.parameters) + " params");
    if (box.gates) facts.push(`◇ ${box.gates}`);
    lines.push(box.label, facts.join("  ·  "));
    const name = box.synthetic ? "" : nameInside(box);
    const width = Math.max(textWidth(box.label, 13, 650) + (name ? textWidth(name, 11) + 8 : 0), textWidth(lines[1], 10.5));
    return (box.face = { title: lines[0], name, sub: lines[1], width: Math.max(120, width + 58), height: 50 });
  }
  const node = box.node, type = clip(node.types[0] || "", 38);
  if (node.kind === "gate" || node.kind === "exit") {
    const title = clip(shortName(gateName(node)), 26);
    const sub = node.attributes.over ? "per " + node.attributes.over : "gate";
    const width = Math.max(textWidth(title, 12, 650), textWidth(sub, 10)) + 70;
    return (box.face = { title, name: "", sub, width: Math.max(112, width), height: 60 });
  }
  const title = clip(node.label, 34), last = (node.path.split(".").pop() || "").replace(/_\d+$/, "");
  const name = last && last !== node.label && node.label !== "merge " + last && !node.label.includes(last) ? clip(last, 20) : "";
  const width = Math.max(textWidth(title, 12, 600) + (name ? textWidth(name, 11) + 8 : 0), textWidth(type, 10)) + 30;
  return (box.face = { title, name, sub: type, width: Math.max(76, width), height: type ? 42 : 30 });
}

function clip(text, most) { return text.length > most ? text.slice(0, most - 1) + "…" : text; }

/** The instance path as seen from the container around it. */
function nameInside(box) {
  const outer = box.parent && box.parent.container ? box.parent.container.id : "";
  const id = box.container.id;
  const inner = outer && id.startsWith(outer + ".") ? id.slice(outer.length + 1) : id;
  return inner === box.label ? "" : clip(inner, 30);
}

/** Absolute places of all that is visible and paths of the wires between. `open` holds keys of open containers. */
function layoutAll(model, open) {
  const representative = new Map(), containers = [];
  const stack = [model.root];
  while (stack.length) {
    const box = stack.pop();
    if (box === model.root || (box.isContainer && open.has(box.key))) {
      containers.push(box);
      representative.set(box, box);
      for (const child of box.children) stack.push(child);
    } else {
      for (const inner of postOrder(box)) representative.set(inner, box);
    }
  }
  const wires = lift(model, representative);
  const segments = new Map(containers.map((box) => [box, new Map()]));
  for (const wire of wires) wire.parts = cut(wire, segments);
  const plans = new Map();
  for (const box of containers.reverse()) plans.set(box, planContainer(box, segments.get(box), plans, box === model.root));
  return place(model, plans, wires);
}

/** Wires between what is visible; those that fall together are one. A closed seed that the gate depends on is
 *  governed in part only: such a wire would run backwards, so it goes to governed boxes that read from the seed. */
function lift(model, representative) {
  const found = new Map(), fed = new Set(), backwards = [];
  const add = (wire, source, target) => {
    if (source === target || source.isInside(target) || target.isInside(source)) return;
    if (wire.kind === "data") fed.add(source.key + "\u0000" + target.key);
    const key = [wire.kind, source.key, target.key, wire.gate].join("\u0000");
    const same = found.get(key);
    if (same) same.labels.add(wire.label);
    else found.set(key, { ...wire, source, target, labels: new Set([wire.label]), parts: [] });
  };
  for (const wire of model.wires) {
    const source = representative.get(wire.source), target = representative.get(wire.target);
    const back = wire.kind === "control" && target !== wire.target && upstream(model, wire.gate).has(target);
    if (back) backwards.push([wire, source, target]); else add(wire, source, target);
  }
  for (const [wire, source, closed] of backwards) {
    for (const c of model.graph.controls) {
      if (c.source !== wire.gate || c.arm !== wire.arm) continue;
      const target = representative.get(model.nodes.get(c.target));
      if (target && fed.has(closed.key + "\u0000" + target.key) && !upstream(model, wire.gate).has(target)) add(wire, source, target);
    }
  }
  for (const wire of found.values()) {
    const labels = [...wire.labels];
    wire.label = labels.length > 2 ? `${shortName(gateName(model.byId.get(wire.gate)))}: ${labels.length} arms` : labels.join(" / ");
  }
  return [...found.values()];
}

/** Cuts a wire where it crosses the border of a container; each container lays out its own parts. */
function cut(wire, segments) {
  const up = wire.source.ancestors(), down = wire.target.ancestors();
  while (up.length && down.length && up[up.length - 1] === down[down.length - 1]) { up.pop(); down.pop(); }
  const meeting = (up.length ? up[up.length - 1] : wire.source).parent;
  const identity = wire.kind + wire.source.key + wire.label;
  const parts = [];
  const add = (container, from, to, port, label) => {
    const key = [from ? from.key : "<" + port, to ? to.key : ">" + port, identity].join("\u0000");
    const here = segments.get(container);
    if (!here.has(key)) here.set(key, { key, from, to, port: identity, label, kind: wire.kind });
    parts.push({ container, key });
  };
  let inner = wire.source;
  for (const container of up) { add(container, inner, null, identity, ""); inner = container; }
  const path = [...down].reverse();
  add(meeting, inner, path.length ? path[0] : wire.target, identity, wire.label);
  path.forEach((container, i) => add(container, null, path[i + 1] || wire.target, identity, ""));
  return parts;
}

function sizeOf(box, plans) { return plans.get(box) || face(box); }

/** Places the children of one container. Coordinates are of its top left corner. */
function planContainer(box, segments, plans, isRoot) {
  const signature = [...box.children].map((c) => { const s = sizeOf(c, plans); return `${c.key} ${s.width} ${s.height}`; })
    .concat([...segments.keys()]).join("\u0001");
  const before = known.get(box.key);
  if (before && before.signature === signature && before.children === box.children) return before.plan;
  const plan = arrange(box, segments, plans, isRoot);
  known.set(box.key, { signature, plan, children: box.children });
  return plan;
}

function arrange(box, segments, plans, isRoot) {
  const g = new dagre.graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: "TB", ...SEPARATION, ranker: box.children.length > 100 ? "tight-tree" : "network-simplex" });
  g.setDefaultEdgeLabel(() => ({}));
  const sources = new Set(), sinks = new Set();
  for (const child of [...box.children].sort((a, b) => a.rank - b.rank)) {
    const { width, height } = sizeOf(child, plans);
    g.setNode(child.key, { width, height });
    sources.add(child.key); sinks.add(child.key);
  }
  const entries = new Set(), leaves = new Set();
  for (const s of segments.values()) {
    const from = s.from ? s.from.key : "<" + s.port, to = s.to ? s.to.key : ">" + s.port;
    if (!s.from && !g.hasNode(from)) { g.setNode(from, { width: PORT, height: PORT }); entries.add(from); }
    if (!s.to && !g.hasNode(to)) { g.setNode(to, { width: PORT, height: PORT }); leaves.add(to); }
    sources.delete(to); sinks.delete(from);
    const label = s.label ? { width: textWidth(clip(s.label, 28), 10, 600) + 14, height: 16, labelpos: "c" } : {};
    g.setEdge(from, to, { weight: s.kind === "control" ? 1 : 4, minlen: 1, ...label }, s.key);
  }
  if (entries.size) {
    g.setNode("^", { width: PORT, height: PORT });
    for (const key of entries) g.setEdge("^", key, { weight: 40 }, "^" + key);
    for (const key of sources) g.setEdge("^", key, { weight: 0 }, "^" + key);
  }
  if (leaves.size) {
    g.setNode("$", { width: PORT, height: PORT });
    for (const key of leaves) g.setEdge(key, "$", { weight: 40 }, "$" + key);
    for (const key of sinks) g.setEdge(key, "$", { weight: 0 }, "$" + key);
  }
  dagre.layout(g);
  return measured(box, g, segments, entries, leaves, isRoot);
}

/** Rows that hold only the ends of wires at the border need less room. */
function squeezer(box, g) {
  let top = Infinity, bottom = -Infinity;
  for (const child of box.children) {
    const n = g.node(child.key);
    top = Math.min(top, n.y - n.height / 2); bottom = Math.max(bottom, n.y + n.height / 2);
  }
  return (y) => (y < top ? top - (top - y) * 0.4 : y > bottom ? bottom + (y - bottom) * 0.55 : y);
}

/** Moves the layout to its corner and finds out how large the container is. */
function measured(box, g, segments, entries, leaves, isRoot) {
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  const see = (x, y, w = 0, h = 0) => {
    left = Math.min(left, x - w / 2); right = Math.max(right, x + w / 2);
    top = Math.min(top, y - h / 2); bottom = Math.max(bottom, y + h / 2);
  };
  const squeeze = squeezer(box, g);
  for (const key of g.nodes()) {
    const n = g.node(key);
    n.y = squeeze(n.y);
    if (key !== "^" && key !== "$") see(n.x, n.y, n.width, n.height);
  }
  for (const s of segments.values()) {
    const e = g.edge(s.from ? s.from.key : "<" + s.port, s.to ? s.to.key : ">" + s.port, s.key);
    for (const p of e.points) { p.y = squeeze(p.y); see(p.x, p.y); }
    if (s.label) see(e.x, e.y, e.width, e.height);
  }
  if (left > right) { left = right = top = bottom = 0; }
  const pad = isRoot ? 0 : PAD, header = isRoot ? 0 : HEADER;
  const f = face(box);
  const wanted = isRoot ? 0 : textWidth(f.title, 13, 650) + (f.name ? textWidth(f.name, 11) + 8 : 0) + 60;
  const width = Math.max(right - left + 2 * pad, wanted);
  const head = header + (entries.size ? 0 : isRoot ? 0 : 8), foot = leaves.size ? 8 : pad;
  const dx = (width - (right - left)) / 2 - left, dy = head - top;
  const height = bottom - top + head + (isRoot ? 0 : foot);
  const places = new Map(), ports = new Map(), routes = new Map();
  for (const child of box.children) {
    const n = g.node(child.key);
    places.set(child, { x: n.x - n.width / 2 + dx, y: n.y - n.height / 2 + dy });
  }
  for (const key of [...entries, ...leaves]) ports.set(key, g.node(key).x + dx);
  for (const s of segments.values()) {
    const e = g.edge(s.from ? s.from.key : "<" + s.port, s.to ? s.to.key : ">" + s.port, s.key);
    const points = e.points.map((p) => ({ x: p.x + dx, y: p.y + dy }));
    const label = s.label ? { x: e.x + dx, y: e.y + dy, width: e.width } : null;
    const inner = points.slice(1, -1);
    if (inner.length === 1 && !label) inner[0].x = (points[0].x + points[2].x) / 2; // next row: nothing is in the way
    routes.set(s.key, { segment: s, inner, label });
  }
  return { width, height, places, ports, routes };
}

/** Adds up the corners of nested containers and joins the parts of wires. */
function place(model, plans, wires) {
  const corners = new Map([[model.root, { x: 0, y: 0 }]]), boxes = [];
  const stack = [{ box: model.root, depth: 0 }];
  while (stack.length) {
    const { box, depth } = stack.pop();
    const plan = plans.get(box), corner = corners.get(box);
    const size = sizeOf(box, plans);
    boxes.push({ box, depth, open: Boolean(plan), x: corner.x, y: corner.y, width: size.width, height: size.height });
    if (!plan) continue;
    for (const child of [...box.children].reverse()) {
      const p = plan.places.get(child);
      corners.set(child, { x: corner.x + p.x, y: corner.y + p.y });
      stack.push({ box: child, depth: depth + 1 });
    }
  }
  const at = (box) => { const c = corners.get(box), s = sizeOf(box, plans); return { ...c, width: s.width, height: s.height }; };
  const drawn = wires.map((wire) => ({ ...wire, ...joined(wire, plans, corners, at) }));
  const root = plans.get(model.root);
  return { boxes, wires: drawn, width: root.width, height: root.height };
}

function joined(wire, plans, corners, at) {
  const points = [];
  let label = null;
  for (const part of wire.parts) {
    const plan = plans.get(part.container), corner = corners.get(part.container);
    const { segment, inner, label: mine } = plan.routes.get(part.key);
    if (segment.from === null) {
      const x = corner.x + plan.ports.get("<" + segment.port);
      points.push({ x, y: corner.y }, { x, y: corner.y + HEADER });
    }
    for (const p of inner) points.push({ x: p.x + corner.x, y: p.y + corner.y });
    if (segment.to === null) {
      const x = corner.x + plan.ports.get(">" + segment.port);
      points.push({ x, y: corner.y + plan.height - 8 }, { x, y: corner.y + plan.height });
    }
    if (mine) label = { x: mine.x + corner.x, y: mine.y + corner.y, width: mine.width };
  }
  const from = at(wire.source), to = at(wire.target);
  const first = points[0], last = points[points.length - 1];
  const start = { x: attach(from, first, wire.source), y: from.y + from.height };
  const end = { x: attach(to, last, wire.target), y: to.y };
  points.unshift(start, { x: start.x, y: start.y + 6 });
  points.push({ x: end.x, y: end.y - 9 }, end);
  return { points, labelPlace: label && onCurve(points, label) };
}

/** The spline passes near its points, not through them; a label sits where it passes. */
function onCurve(points, label) {
  const i = points.findIndex((p) => Math.abs(p.x - label.x) < 0.5 && Math.abs(p.y - label.y) < 0.5);
  if (i < 1 || i > points.length - 2) return label;
  const blend = (axis) => (points[i - 1][axis] + 4 * points[i][axis] + points[i + 1][axis]) / 6;
  return { x: blend("x"), y: blend("y"), width: label.width };
}

/** Where on the lower or upper side of a box a wire ends: a little towards where it comes from. */
function attach(place, towards, box) {
  const centre = place.x + place.width / 2;
  if (box.node && (box.node.kind === "gate" || box.node.kind === "exit")) return centre;
  const reach = place.width * 0.32;
  return centre + Math.max(-reach, Math.min(reach, (towards.x - centre) * 0.4));
}

/** A smooth path (uniform cubic B-spline, as d3's curveBasis: straight into both ends). */
function curve(points) {
  const f = (v) => v.toFixed(1);
  const distinct = points.filter((p, i) => i === 0 || Math.hypot(p.x - points[i - 1].x, p.y - points[i - 1].y) > 0.5);
  const n = distinct.length;
  if (n < 3) return "M" + distinct.map((p) => f(p.x) + " " + f(p.y)).join("L");
  let d = `M${f(distinct[0].x)} ${f(distinct[0].y)}`;
  const bezier = (a, b, c) => {
    d += `C${f((2 * a.x + b.x) / 3)} ${f((2 * a.y + b.y) / 3)} ${f((a.x + 2 * b.x) / 3)} ${f((a.y + 2 * b.y) / 3)} ` +
      `${f((a.x + 4 * b.x + c.x) / 6)} ${f((a.y + 4 * b.y + c.y) / 6)}`;
  };
  d += `L${f((5 * distinct[0].x + distinct[1].x) / 6)} ${f((5 * distinct[0].y + distinct[1].y) / 6)}`;
  for (let i = 2; i < n; i++) bezier(distinct[i - 2], distinct[i - 1], distinct[i]);
  bezier(distinct[n - 2], distinct[n - 1], distinct[n - 1]);
  return d + `L${f(distinct[n - 1].x)} ${f(distinct[n - 1].y)}`;
}
