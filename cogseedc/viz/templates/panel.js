/* The side panel: facts of what is selected, and the source text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function facts(rows) {
  const list = el("dl");
  for (const [name, value] of rows) {
    if (value === "" || value === null || value === undefined) continue;
    const shown = value instanceof Node ? value : el("span", {}, String(value));
    list.append(el("dt", {}, name), el("dd", {}, shown));
  }
  return list;
}

function section(title, ...content) { return el("section", {}, el("h3", {}, title), ...content); }

function linkTo(model, box, select, text) {
  return el("button", { class: "link", "data-goto": box.key, onclick: () => select(box, true) }, text || box.path || box.label);
}

function links(model, boxes, select) {
  const list = el("ul", { class: "links" });
  for (const box of boxes.slice(0, 40)) list.append(el("li", {}, linkTo(model, box, select)));
  if (boxes.length > 40) list.append(el("li", {}, `and ${boxes.length - 40} more`));
  return list;
}

function showDetails(panel, model, box, select) {
  panel.replaceChildren(...(box === null || box === model.root ? aboutProgram(model, select)
    : box.isContainer ? aboutSeed(model, box) : aboutNode(model, box, select)));
  panel.scrollTop = 0;
}

function aboutProgram(model, select) {
  const { graph, root } = model;
  const parts = [el("p", { class: "eyebrow" }, "program"), el("h2", {}, graph.name)];
  if (graph.doc) parts.push(el("p", { class: "doc" }, graph.doc));
  parts.push(tiles([[amount(root.macs), "MACs, dense"], [amount(root.parameters), "parameters"],
    [String(root.ops), "nodes"], [String(graph.containers.filter((c) => c.kind === "seed").length), "seeds"]]));
  const of = (kind) => [...model.nodes.values()].filter((b) => b.node.kind === kind);
  const ends = (title, kind) => {
    const found = of(kind);
    if (!found.length) return;
    const list = el("ul", { class: "links" });
    for (const b of found) {
      const type = b.node.types[0] || b.node.attributes.range || "";
      list.append(el("li", {}, linkTo(model, b, select, b.node.label), el("code", {}, type)));
    }
    parts.push(section(title, list));
  };
  ends("Inputs", "input"); ends("Knobs", "knob"); ends("Outputs", "output");
  const gates = of("gate");
  if (gates.length) parts.push(section(`Gates · ${gates.length}`, gateTable(model, gates, select)));
  return parts;
}

function tiles(pairs) {
  return el("div", { class: "tiles" }, ...pairs.map(([value, name]) => el("div", {}, el("b", {}, value), el("span", {}, name))));
}

/** Each gate with the share of all MACs that some arm of it governs. */
function gateTable(model, gates, select) {
  const list = el("ul", { class: "links gates" });
  for (const box of gates.slice(0, 100)) {
    const governed = new Set(model.graph.controls.filter((c) => c.source === box.node.id).map((c) => c.target));
    const macs = [...governed].reduce((sum, id) => sum + model.byId.get(id).macs, 0);
    const share = model.root.macs ? macs / model.root.macs : 0;
    const bar = el("span", { class: "bar", title: `governs ${(100 * share).toFixed(1)} % of the MACs` }, el("i"));
    bar.firstChild.style.width = (100 * share).toFixed(1) + "%";
    list.append(el("li", {}, el("span", { class: "dot hue" + hueOf(model, box.node.id) }),
      linkTo(model, box, select, gateName(box.node)), bar));
  }
  return list;
}

function aboutSeed(model, box) {
  const id = box.container.id;
  const owned = [];
  for (const inner of postOrder(box)) if (inner.node) owned.push(inner.node.id);
  const guards = new Set(owned.map((n) => guardText(model, n)));
  const guard = guards.size === 1 ? [...guards][0] : [...guards].includes("always") ? "in part" : "differs inside";
  return [
    el("p", { class: "eyebrow" }, box.synthetic ? "part of a large seed" : box.container.kind === "loop" ? "loop" : "seed instance"), el("h2", {}, box.label),
    tiles([[amount(box.macs), "MACs"], [amount(box.parameters), "parameters"], [String(box.ops), "nodes"], [String(box.gates), "gates"]]),
    facts([["path", mono(id)], ["runs when", mono(guard)]]),
  ];
}

function mono(text) { return el("code", {}, text); }

function aboutNode(model, box, select) {
  const node = box.node;
  const kind = node.kind === "call" ? node.family || "operation" : node.kind;
  const parts = [el("p", { class: "eyebrow" }, kind), el("h2", {}, node.kind === "gate" ? gateName(node) : node.label)];
  const stateDict = node.kind === "weight" ? node.attributes.path : "";
  parts.push(facts([
    ["path", mono(node.path)], ["state dict", stateDict ? mono(stateDict) : ""],
    ["type", node.types.length ? el("span", {}, ...node.types.map(mono)) : ""],
    ["runs when", mono(guardText(model, node.id))],
    ["MACs", node.macs ? `${amount(node.macs)} per sample` : ""],
    ["parameters", node.parameters ? amount(node.parameters) : ""], ["precision", node.bits],
  ]));
  const attributes = Object.entries(node.attributes).filter(([key]) => key !== "path");
  if (attributes.length) parts.push(section("Attributes", facts(attributes.map(([k, v]) => [k, mono(v)]))));
  const held = model.graph.edges.filter((e) => e.target === node.id).map((e) => model.byId.get(e.source)).filter((n) => n.kind === "weight");
  if (held.length) parts.push(section("Weights", facts(held.map((n) => [n.label, el("span", {}, mono(n.path), el("code", { class: "muted" }, n.types[0]))]))));
  if (node.kind === "gate") parts.push(...armsOf(model, node, select));
  const near = (key, other) => [...new Set(model.graph.edges.filter((e) => e[key] === node.id).map((e) => model.nodes.get(e[other])).filter(Boolean))];
  const above = near("target", "source"), below = near("source", "target");
  if (above.length) parts.push(section("Reads", links(model, above, select)));
  if (below.length) parts.push(section("Read by", links(model, below, select)));
  parts.push(excerpt(model, node));
  return parts;
}

/** For each arm of a gate: how many nodes and MACs run only then. */
function armsOf(model, gate) {
  const arms = new Map();
  for (const c of model.graph.controls) {
    if (c.source !== gate.id) continue;
    if (!arms.has(c.label)) arms.set(c.label, new Set());
    arms.get(c.label).add(c.target);
  }
  if (!arms.size) return [];
  const rows = [...arms].map(([label, ids]) => {
    const macs = [...ids].reduce((sum, id) => sum + model.byId.get(id).macs, 0);
    return [label, `${ids.size} nodes · ${amount(macs)} MACs`];
  });
  return [section("Governs", facts(rows))];
}

function excerpt(model, node) {
  const text = node.span && model.graph.sources[node.span.file];
  if (typeof text !== "string") return el("span");
  const lines = text.split("\n"), at = node.span.line - 1;
  const block = el("pre", { class: "code excerpt" });
  for (let i = Math.max(0, at - 1); i <= Math.min(lines.length - 1, at + 1); i++) block.append(codeLine(lines[i], i + 1, i === at));
  return section(`${node.span.file}:${node.span.line}:${node.span.column}`, block);
}

const TOKENS = /(#.*$)|("(?:[^"\\]|\\.)*")|\b(seed|export|import|from|in|out|param|knob|gate|exit|when|else|yield|return|over|via|level|version|budget|bits|for|each|match|case|static|where|let|as|and|or|not|true|false)\b|\b(\d[\w.]*)\b|\b([A-Z]\w*)\b|(\|>|=>|->)/g;
const TOKEN_CLASSES = ["c", "s", "k", "n", "t", "o"];

function codeLine(text, number, marked) {
  const line = el("span", { class: marked ? "line marked" : "line", "data-line": number }, el("span", { class: "number" }, String(number)));
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > at) line.append(text.slice(at, match.index));
    const group = match.slice(1).findIndex((g) => g !== undefined);
    line.append(el("span", { class: "t-" + TOKEN_CLASSES[group] }, match[0]));
    at = match.index + match[0].length;
  }
  line.append(text.slice(at) + "\n");
  return line;
}

/** The whole source; a line selects what it made. */
function showSource(pane, model, file, line, pick) {
  const text = model.graph.sources[file];
  if (pane.dataset.file !== file) {
    pane.dataset.file = file;
    const code = el("pre", { class: "code" });
    const made = new Set(model.graph.nodes.filter((n) => n.span && n.span.file === file).map((n) => n.span.line));
    String(text).split("\n").forEach((content, i) => {
      const row = codeLine(content, i + 1, false);
      if (made.has(i + 1)) { row.classList.add("made"); row.addEventListener("click", () => pick(file, i + 1)); }
      code.append(row);
    });
    pane.replaceChildren(code);
  }
  for (const old of pane.querySelectorAll(".marked")) old.classList.remove("marked");
  const row = line ? pane.querySelector(`[data-line="${Number(line)}"]`) : null;
  if (row) {
    row.classList.add("marked");
    pane.scrollTop = row.offsetTop - pane.clientHeight / 2;
  }
}

/** Where a seed is written, by its name. */
function definitionOf(model, name) {
  if (!/^\w+$/.test(name)) return null;
  const pattern = new RegExp("^\\s*(export\\s+)?seed\\s+" + name + "\\b");
  for (const [file, text] of Object.entries(model.graph.sources)) {
    const line = text.split("\n").findIndex((content) => pattern.test(content));
    if (line >= 0) return { file, line: line + 1 };
  }
  return null;
}
