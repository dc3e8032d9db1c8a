/* Draws a layout as SVG. All text goes in as text nodes, all values as attributes of elements made here. */
const SVG = "http://www.w3.org/2000/svg";
const HUES = 7;

function svgEl(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  for (const child of children) if (child) element.append(child);
  return element;
}

function drawAll(model, layout, layers, view) {
  const backs = [], fronts = [], paths = [], labels = [], heads = [];
  for (const placed of layout.boxes) {
    if (placed.box === model.root) continue;
    if (placed.open) { backs.push(openContainer(placed, view)); heads.push(openHead(placed, view)); }
    else fronts.push(placed.box.isContainer ? closedContainer(placed, view) : nodeShape(placed, model, view));
  }
  for (const wire of layout.wires) {
    paths.push(wirePath(wire, model));
    if (wire.label && wire.labelPlace) labels.push(wireLabel(wire, model));
  }
  paths.push(...backPaths(model, layout));
  layers.backs.replaceChildren(...backs);
  layers.wires.replaceChildren(...paths);
  layers.boxes.replaceChildren(...heads, ...fronts);
  layers.labels.replaceChildren(...labels);
}

function groupAt(placed, attributes) {
  return svgEl("g", { transform: `translate(${placed.x.toFixed(1)} ${placed.y.toFixed(1)})`, tabindex: "0", ...attributes });
}

function containerSubject(box) { return box.synthetic ? box.label : box.container.id; }

function chevron(open, x, y) {
  const mark = open ? "M-4 0H4" : "M-4 0H4M0 -4V4";
  return svgEl("g", { class: "toggle", transform: `translate(${x} ${y})`, "data-toggle": "" },
    svgEl("rect", { x: -9, y: -9, width: 18, height: 18, rx: 5 }), svgEl("path", { d: mark }));
}

function openContainer(placed, view) {
  const { box, width, height, depth } = placed;
  const g = groupAt(placed, {
    class: `container open depth${depth % 2}`, role: "button", "aria-expanded": "true", "data-key": box.key,
    "data-container": containerSubject(box), "aria-label": `${box.container.kind} ${box.label} ${box.container.id}, open`,
  });
  g.append(svgEl("rect", { class: "frame", width, height, rx: 10 }));
  paint(g, box, view);
  return g;
}

/** Title and toggle of an open container, above the wires that cross its border. */
function openHead(placed, view) {
  const g = svgEl("g", {
    class: `container head depth${placed.depth % 2}`, "data-head": placed.box.key,
    transform: `translate(${placed.x.toFixed(1)} ${placed.y.toFixed(1)})`,
  }, chevron(true, 18, 17), heading(face(placed.box), 34, 21));
  paint(g, placed.box, view);
  return g;
}

function heading(f, x, y) {
  const text = svgEl("text", { class: "title", x, y });
  text.append(svgEl("tspan", {}, f.title));
  if (f.name) text.append(svgEl("tspan", { class: "name", dx: 7 }, f.name));
  return text;
}

function closedContainer(placed, view) {
  const { box, width, height } = placed, f = face(box);
  const g = groupAt(placed, {
    class: "container closed", role: "button", "aria-expanded": "false", "data-key": box.key,
    "data-container": containerSubject(box), "aria-label": `${box.container.kind} ${box.label} ${box.container.id}, closed, ${f.sub}`,
  });
  g.append(svgEl("rect", { class: "stack", x: 6, y: 5, width: width - 12, height, rx: 9 }));
  g.append(svgEl("rect", { class: "frame", width, height, rx: 9 }), chevron(false, 20, height / 2));
  g.append(heading(f, 38, 21), svgEl("text", { class: "sub", x: 38, y: 38 }, f.sub));
  paint(g, box, view);
  return g;
}

function outline(kind, w, h) {
  switch (kind) {
    case "gate": case "exit": return svgEl("path", { class: "frame", d: `M${w / 2} 0L${w} ${h / 2}L${w / 2} ${h}L0 ${h / 2}Z` });
    case "merge": return svgEl("path", { class: "frame", d: `M5 0H${w - 5}Q${w} 0 ${w - 2} 5L${w - 12} ${h - 4}Q${w - 14} ${h} ${w - 19} ${h}H19Q14 ${h} 12 ${h - 4}L2 5Q0 0 5 0Z` });
    case "knob": return svgEl("path", { class: "frame", d: `M12 0H${w - 12}L${w} ${h / 2}L${w - 12} ${h}H12L0 ${h / 2}Z` });
    case "input": case "output": case "carry": case "element": case "capture": case "next": case "yield": case "until":
      return svgEl("rect", { class: "frame", width: w, height: h, rx: h / 2 });
    default: return svgEl("rect", { class: "frame", width: w, height: h, rx: 7 });
  }
}

function nodeShape(placed, model, view) {
  const { box, width, height } = placed, node = box.node, f = face(box);
  const g = groupAt(placed, {
    class: `node k-${node.kind}`, role: "button", "data-key": box.key, "data-node": node.id, "data-kind": node.kind,
    "aria-label": `${node.label}, ${node.path}, ${node.types.join(", ")}`,
  });
  g.append(outline(node.kind, width, height));
  const cx = width / 2, oneLine = !f.sub;
  const title = svgEl("text", { class: "title", x: cx, y: oneLine ? height / 2 + 4 : height / 2 - 2, "text-anchor": "middle" });
  title.append(svgEl("tspan", {}, f.title));
  if (f.name) title.append(svgEl("tspan", { class: "name", dx: 6 }, f.name));
  g.append(title);
  if (f.sub) g.append(svgEl("text", { class: "sub", x: cx, y: height / 2 + 12, "text-anchor": "middle" }, f.sub));
  if (node.kind === "gate") g.classList.add("hue" + hueOf(model, node.id));
  paint(g, box, view);
  return g;
}

function hueOf(model, gate) {
  if (!model.hues) model.hues = new Map(model.graph.nodes.filter((n) => n.kind === "gate").map((n, i) => [n.id, i % HUES]));
  return model.hues.get(gate) || 0;
}

/** The colour of a box in the chosen mode. */
function paint(g, box, view) {
  if (view.color === "macs") {
    const share = box.macs > 0 && view.mostMacs > 0 ? Math.log1p(box.macs) / Math.log1p(view.mostMacs) : 0;
    const heat = box.macs > 0 ? Math.max(0.08, (share - 0.4) / 0.6) : 0;
    g.style.setProperty("--t", Math.round(heat * 88) + "%");
    g.classList.toggle("hot", heat > 0.45);
    g.classList.toggle("cold", heat === 0);
  } else if (view.color === "bits") {
    g.classList.add("b-" + (box.isContainer ? "none" : bitsClass(box.node.bits)));
  } else {
    g.classList.add("f-" + (box.isContainer ? "seed" : classOf(box.node)));
  }
}

function bitsClass(bits) { return ["fp32", "fp16", "bf16", "int8", "bool", "i64"].includes(bits) ? bits : "none"; }

function subjectOf(box) { return box.node ? String(box.node.id) : containerSubject(box); }

function wirePath(wire, model) {
  const control = wire.kind === "control";
  const path = svgEl("path", {
    class: control ? `wire control hue${hueOf(model, wire.gate)}` : "wire data", d: curve(wire.points),
    "data-from": wire.source.key, "data-to": wire.target.key, "marker-end": control ? `url(#tip-${hueOf(model, wire.gate)})` : "url(#tip)",
    "data-control": control ? wire.label : null, "data-source": subjectOf(wire.source), "data-target": subjectOf(wire.target),
  });
  path.append(svgEl("title", {}, control ? `${wire.label}: governs ${wire.target.path || wire.target.label}` : `${wire.source.path} → ${wire.target.path}`));
  return path;
}

/** What a carry becomes goes back to the carry, along the right border of the loop, if both are shown. */
function backPaths(model, layout) {
  const placed = new Map(layout.boxes.map((p) => [p.box, p])), used = new Map(), found = [];
  for (const back of model.graph.backs || []) {
    const source = model.nodes.get(back.source), target = model.nodes.get(back.target);
    const from = placed.get(source), to = placed.get(target), around = source && placed.get(source.parent);
    if (!from || !to || !around || source.parent !== target.parent) continue;
    const lane = used.get(around) || 0;
    used.set(around, lane + 1);
    const edge = around.x + around.width - 4 - 3 * Math.min(lane, 3);
    const [sx, sy, tx, ty] = [from.x + from.width, from.y + from.height / 2, to.x + to.width, to.y + to.height / 2];
    const path = svgEl("path", {
      class: "wire data back", d: `M${sx} ${sy}H${edge - 5}Q${edge} ${sy} ${edge} ${sy - 5}V${ty + 5}Q${edge} ${ty} ${edge - 5} ${ty}H${tx + 2}`,
      "data-from": source.key, "data-to": target.key, "marker-end": "url(#tip)",
      "data-source": subjectOf(source), "data-target": subjectOf(target),
    });
    path.append(svgEl("title", {}, `${target.label} of the next turn`));
    found.push(path);
  }
  return found;
}

function wireLabel(wire, model) {
  const { x, y, width } = wire.labelPlace;
  return svgEl("g", {
    class: `predicate hue${hueOf(model, wire.gate)}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    "data-from": wire.source.key, "data-to": wire.target.key,
  }, svgEl("rect", { x: -width / 2, y: -8, width, height: 16, rx: 8 }),
  svgEl("text", { "text-anchor": "middle", y: 3.5 }, clip(wire.label, 28)));
}
