/* The document as a tree of boxes (seeds and nodes) with wires between them. Knows nothing of pixels. */
const HIDDEN = new Set(["weight", "constant"]);
const MOST_CHILDREN = 150;
const GROUP = 60;
const ALIKE = 6;

class Box {
  constructor(key, label, parent) {
    this.key = key;
    this.label = label;
    this.parent = parent;
    this.node = null;
    this.container = null;
    this.synthetic = false;
    this.folded = false;
    this.children = [];
    this.rank = Infinity;
    this.ops = 0; this.macs = 0; this.parameters = 0; this.gates = 0;
  }
  get isContainer() { return this.node === null; }
  get path() { return this.node ? this.node.path : this.container ? this.container.id : ""; }
  ancestors() {
    const found = [];
    for (let box = this.parent; box; box = box.parent) found.push(box);
    return found;
  }
  isInside(other) {
    for (let box = this; box; box = box.parent) if (box === other) return true;
    return false;
  }
}

/** Boxes and wires of a document; `withWeights` shows weights and constants as nodes too. */
function buildModel(graph, withWeights) {
  const root = new Box("c:", graph.name, null);
  root.container = { id: "", kind: "seed", label: graph.name, parent: "" };
  const containers = new Map([["", root]]);
  for (const c of graph.containers) {
    const box = new Box("c:" + c.id, c.label, root);
    box.container = c;
    containers.set(c.id, box);
  }
  for (const c of graph.containers) {
    const box = containers.get(c.id);
    const parent = containers.get(c.parent) || root;
    box.parent = parent.isInside(box) ? root : parent;
    box.parent.children.push(box);
  }
  const nodes = new Map();
  const byId = new Map(graph.nodes.map((n) => [n.id, n]));
  for (const node of graph.nodes) {
    const around = containers.get(node.container) || root;
    for (let box = around; box; box = box.parent) {
      box.macs += node.macs;
      box.parameters += node.parameters;
      if (!HIDDEN.has(node.kind)) box.ops += 1;
      if (node.kind === "gate") box.gates += 1;
    }
    if (HIDDEN.has(node.kind) && !withWeights) continue;
    const box = new Box("n:" + node.id, node.label, around);
    box.node = node;
    box.macs = node.macs;
    box.parameters = node.parameters;
    around.children.push(box);
    nodes.set(node.id, box);
  }
  const model = { graph, root, containers, nodes, byId, guards: guardsOf(graph), wires: [] };
  rankBoxes(model);
  dropEmpty(root);
  fold(model);
  split(root, containers);
  model.wires = [...dataWires(model), ...controlWires(model)];
  return model;
}

/** A topological number for each node; a container has the smallest of what it holds. */
function rankBoxes(model) {
  const waiting = new Map(), next = new Map();
  for (const id of model.byId.keys()) { waiting.set(id, 0); next.set(id, []); }
  for (const e of model.graph.edges) {
    next.get(e.source).push(e.target);
    waiting.set(e.target, waiting.get(e.target) + 1);
  }
  const order = [...waiting].filter(([, n]) => n === 0).map(([id]) => id);
  for (let i = 0; i < order.length; i++) {
    const box = model.nodes.get(order[i]);
    if (box) for (let b = box; b; b = b.parent) b.rank = Math.min(b.rank, i);
    for (const target of next.get(order[i])) {
      const left = waiting.get(target) - 1;
      waiting.set(target, left);
      if (left === 0) order.push(target);
    }
  }
}

function dropEmpty(root) {
  for (const box of postOrder(root)) {
    box.children = box.children.filter((c) => !c.isContainer || c.children.length > 0);
  }
}

/** Seeds side by side, alike in name, operands and readers (the experts of a mixture), become one group. */
function fold(model) {
  const ends = new Map();
  const note = (box, other, side, id) => {
    for (let b = box && box.parent; b && b.parent && !(other && other.isInside(b)); b = b.parent) {
      if (!ends.has(b)) ends.set(b, new Set());
      ends.get(b).add(side + id);
    }
  };
  for (const e of model.graph.edges) {
    const source = model.nodes.get(e.source), target = model.nodes.get(e.target);
    if (!source || !target) continue;
    note(target, source, "<", e.source);
    note(source, target, ">", e.target);
  }
  for (const box of [model.root, ...model.containers.values()]) {
    const alike = new Map();
    for (const child of box.children) {
      if (!child.isContainer) continue;
      const key = child.label + " " + [...(ends.get(child) || [])].sort().join(" ");
      if (!alike.has(key)) alike.set(key, []);
      alike.get(key).push(child);
    }
    for (const [key, part] of alike) {
      if (part.length < ALIKE || part.length === box.children.length) continue;
      const group = grouped(box, `f:${box.container.id}:${key}`, `${part.length} × ${part[0].label}`, part);
      group.folded = true;
      box.children = [...box.children.filter((c) => c.parent === box), group];
    }
  }
}

function grouped(box, key, label, part) {
  const group = new Box(key, label, box);
  group.container = box.container;
  group.synthetic = true;
  group.children = part;
  for (const child of part) {
    child.parent = group;
    group.rank = Math.min(group.rank, child.rank);
    group.macs += child.macs; group.parameters += child.parameters;
    group.ops += child.isContainer ? child.ops : 1;
    group.gates += child.isContainer ? child.gates : child.node.kind === "gate" ? 1 : 0;
  }
  return group;
}

/** Containers with very many children get groups of consecutive ones, so that no layout is large. */
function split(root, containers) {
  for (const box of [root, ...containers.values()]) {
    let round = 0;
    while (box.children.length > MOST_CHILDREN) {
      const sorted = [...box.children].sort((a, b) => a.rank - b.rank);
      const groups = [];
      for (let i = 0; i < sorted.length; i += GROUP) {
        const part = sorted.slice(i, i + GROUP);
        const label = `part ${groups.length + 1} of ${Math.ceil(sorted.length / GROUP)}`;
        const group = grouped(box, `g:${box.container.id}:${round}:${groups.length}`, label, part);
        groups.push(group);
      }
      box.children = groups;
      round += 1;
    }
  }
}

function postOrder(root) {
  const found = [], stack = [root];
  while (stack.length) {
    const box = stack.pop();
    found.push(box);
    for (const child of box.children) stack.push(child);
  }
  return found.reverse();
}

/** target -> Map(term -> [control]): a union of conjunctions. */
function guardsOf(graph) {
  const guards = new Map();
  for (const c of graph.controls) {
    if (!guards.has(c.target)) guards.set(c.target, new Map());
    const terms = guards.get(c.target);
    if (!terms.has(c.term)) terms.set(c.term, []);
    terms.get(c.term).push(c);
  }
  return guards;
}

function guardKey(model, id) {
  const terms = model.guards.get(id);
  if (!terms) return "";
  return [...terms.values()].map((t) => t.map((c) => c.source + ":" + c.arm).sort().join("&")).sort().join("|");
}

function dataWires(model) {
  const wires = [];
  for (const e of model.graph.edges) {
    const source = model.nodes.get(e.source), target = model.nodes.get(e.target);
    if (source && target) wires.push({ kind: "data", source, target, label: "", gate: null });
  }
  return wires;
}

/** Control edges that tell something: into nodes whose operands are not all governed alike. Each ends at the
 *  outermost seed that is governed as a whole. */
function controlWires(model) {
  const keys = new Map(), told = new Set();
  for (const id of model.nodes.keys()) keys.set(id, guardKey(model, id));
  for (const e of model.graph.edges) {
    const from = model.byId.get(e.source);
    if (!HIDDEN.has(from.kind) && keys.get(e.source) === keys.get(e.target)) told.add(e.target);
  }
  const live = liveIn(model);
  const literals = literalsOf(model), governed = new Map();
  for (const [id, found] of literals) {
    const box = model.nodes.get(id);
    if (!box || !live.ids.has(id)) continue;
    for (let b = box.parent; b; b = b.parent) {
      if (!governed.has(b)) governed.set(b, new Map());
      const counts = governed.get(b);
      for (const literal of found) counts.set(literal, (counts.get(literal) || 0) + 1);
    }
  }
  const wires = [], seen = new Set();
  for (const c of model.graph.controls) {
    const source = model.nodes.get(c.source);
    let target = model.nodes.get(c.target);
    if (!source || !target || told.has(c.target)) continue;
    for (let b = target.parent; b && !b.synthetic && b !== model.root && !source.isInside(b); b = b.parent) {
      if (governed.get(b)?.get(c.source + ":" + c.arm) === live.counts.get(b)) target = b;
    }
    const key = [c.source, c.arm, target.key].join(" ");
    if (seen.has(key)) continue;
    seen.add(key);
    wires.push({ kind: "control", source, target, label: shortArm(c.label, model.byId.get(c.source)), gate: c.source, arm: c.arm });
  }
  return wires;
}

/** What surely holds where a node runs: its own literals and those of the gates that decide them. */
function literalsOf(model) {
  const found = new Map();
  const of = (id) => {
    if (found.has(id)) return found.get(id);
    found.set(id, new Set());
    const terms = [...(model.guards.get(id) || new Map()).values()].map((term) =>
      new Set(term.flatMap((c) => [c.source + ":" + c.arm, ...of(c.source)])));
    if (terms.length) found.set(id, new Set([...terms[0]].filter((l) => terms.every((t) => t.has(l)))));
    return found.get(id);
  };
  for (const id of model.guards.keys()) of(id);
  return found;
}

/** Nodes that depend on an input, and how many each container has: others are the same for every sample. */
function liveIn(model) {
  const next = new Map([...model.byId.keys()].map((id) => [id, []]));
  for (const e of model.graph.edges) next.get(e.source).push(e.target);
  const ids = reached(model.graph.nodes.filter((n) => n.kind === "input").map((n) => n.id), next);
  const counts = new Map();
  for (const id of ids) {
    const box = model.nodes.get(id);
    for (let b = box && box.parent; b; b = b.parent) counts.set(b, (counts.get(b) || 0) + 1);
  }
  return { ids, counts };
}

function reached(starts, next) {
  const found = new Set(starts), stack = [...starts];
  while (stack.length) for (const id of next.get(stack.pop())) if (!found.has(id)) { found.add(id); stack.push(id); }
  return found;
}

/** All boxes that hold something which a gate depends on. */
function upstream(model, gate) {
  if (!model.upstream) {
    model.upstream = new Map();
    model.operands = new Map([...model.byId.keys()].map((id) => [id, []]));
    for (const e of model.graph.edges) model.operands.get(e.target).push(e.source);
  }
  if (!model.upstream.has(gate)) {
    const boxes = new Set();
    for (const id of reached([gate], model.operands)) {
      for (let b = model.nodes.get(id); b && !boxes.has(b); b = b.parent) boxes.add(b);
    }
    model.upstream.set(gate, boxes);
  }
  return model.upstream.get(gate);
}

/** `not Tree.else.right` is `not right` in a drawing; the whole name is in the panel. */
function shortArm(label, gate) {
  const name = gateName(gate);
  return label.replace(name, shortName(name));
}

function gateName(node) { return node.label.replace(/^gate /, ""); }
function shortName(path) {
  const parts = path.split(".").filter((part) => part !== "then" && part !== "else");
  const last = parts.pop() || path;
  return /^\d+$/.test(last) && parts.length ? parts.pop() + "." + last : last;
}

function guardText(model, id) {
  const terms = model.guards.get(id);
  if (!terms) return "always";
  const spelled = [...terms.values()].map((t) => t.map((c) => c.label).join(" and "));
  return spelled.length === 1 ? spelled[0] : spelled.map((t) => `(${t})`).join(" or ");
}

const CLASSES = {
  convolution: "weighted", "transposed convolution": "weighted", linear: "weighted", product: "weighted",
  attention: "weighted", recurrent: "weighted", normalization: "norm", activation: "activation",
  pooling: "reduce", resampling: "reduce", sampling: "reduce", reduction: "reduce", scan: "reduce",
  decision: "decide", comparison: "decide", ranking: "decide",
};
const CLASS_NAMES = {
  port: "input, output", knob: "knob", weighted: "convolution, linear, attention", norm: "normalisation",
  activation: "activation", reduce: "pooling, reduction", math: "arithmetic", shape: "shape",
  decide: "comparison, ranking", gate: "gate", merge: "merge", store: "weight, constant", seed: "seed",
};
const SHAPE_FAMILIES = new Set(["layout", "shape", "assembly", "selection", "slicing", "creation"]);

/** The colour class of a node. */
function classOf(node) {
  switch (node.kind) {
    case "input": case "output": return "port";
    case "carry": case "element": case "capture": case "next": case "yield": return "port";
    case "until": return "gate";
    case "knob": return "knob";
    case "gate": case "exit": case "return": return "gate";
    case "merge": case "loop": return "merge";
    case "weight": case "constant": return "store";
    default: return CLASSES[node.family] || (SHAPE_FAMILIES.has(node.family) ? "shape" : "math");
  }
}

function amount(n) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= size) return (n / size).toPrecision(3).replace(/\.?0+$/, "") + " " + unit;
  }
  return String(n);
}
