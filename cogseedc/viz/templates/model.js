/* The document as a tree of boxes (seeds and nodes) with wires between them. Knows nothing of pixels. */
const HIDDEN = new Set(["weight", "constant"]);
const MOST_CHILDREN = 150;
const GROUP = 60;

class Box {
  constructor(key, label, parent) {
    this.key = key;
    this.label = label;
    this.parent = parent;
    this.node = null;
    this.container = null;
    this.synthetic = false;
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
  root.container = { id: "", label: graph.name, parent: "" };
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

/** Containers with very many children get groups of consecutive ones, so that no layout is large. */
function split(root, containers) {
  for (const box of [root, ...containers.values()]) {
    let round = 0;
    while (box.children.length > MOST_CHILDREN) {
      const sorted = [...box.children].sort((a, b) => a.rank - b.rank);
      const groups = [];
      for (let i = 0; i < sorted.length; i += GROUP) {
        const part = sorted.slice(i, i + GROUP);
        const group = new Box(`g:${box.container.id}:${round}:${groups.length}`, "", box);
        group.label = `part ${groups.length + 1} of ${Math.ceil(sorted.length / GROUP)}`;
        group.container = box.container;
        group.synthetic = true;
        group.children = part;
        group.rank = part[0].rank;
        for (const child of part) {
          child.parent = group;
          group.macs += child.macs; group.parameters += child.parameters;
          group.ops += child.isContainer ? child.ops : 1;
          group.gates += child.isContainer ? child.gates : child.node.kind === "gate" ? 1 : 0;
        }
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
  const governed = new Map();
  for (const c of model.graph.controls) {
    const box = model.nodes.get(c.target);
    if (!box) continue;
    const literal = c.source + ":" + c.arm;
    for (let b = box.parent; b; b = b.parent) {
      if (!governed.has(b)) governed.set(b, new Map());
      const counts = governed.get(b);
      if (!counts.has(literal)) counts.set(literal, new Set());
      counts.get(literal).add(c.target);
    }
  }
  const wires = [], seen = new Set();
  for (const c of model.graph.controls) {
    const source = model.nodes.get(c.source);
    let target = model.nodes.get(c.target);
    if (!source || !target || told.has(c.target)) continue;
    for (let b = target.parent; b && !b.synthetic && b !== model.root && !source.isInside(b); b = b.parent) {
      const here = governed.get(b)?.get(c.source + ":" + c.arm);
      if (here && here.size === b.ops) target = b;
    }
    const key = [c.source, c.arm, target.key].join(" ");
    if (seen.has(key)) continue;
    seen.add(key);
    wires.push({ kind: "control", source, target, label: shortArm(c.label, model.byId.get(c.source)), gate: c.source });
  }
  return wires;
}

/** `not Tree.else.right` is `not right` in a drawing; the whole name is in the panel. */
function shortArm(label, gate) {
  const name = gateName(gate);
  return label.replace(name, shortName(name));
}

function gateName(node) { return node.label.replace(/^gate /, ""); }
function shortName(path) { return path.split(".").filter((part) => part !== "then" && part !== "else").pop() || path; }

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
const SHAPE_FAMILIES = new Set(["layout", "shape", "assembly", "selection", "creation"]);

/** The colour class of a node. */
function classOf(node) {
  switch (node.kind) {
    case "input": case "output": return "port";
    case "knob": return "knob";
    case "gate": case "exit": case "return": return "gate";
    case "merge": return "merge";
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
