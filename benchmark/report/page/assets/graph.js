// A circuit's graph as plain data, and its drawing: layers up, heads across, MLPs at the right.

const KINDS = { q: "query", k: "key", v: "value", "": "MLP or logits" };
const COLOURS = { q: "--q", k: "--k", v: "--v", "": "--other", both: "--both", here: "--here", there: "--there" };
const STEP_X = 50, STEP_Y = 46, MARGIN = 30;

/** The edges of a circuit as rows: its number in the graph, source, node and kind of reader. */
function edgesOf(circuits, number, ranking) {
  const scores = circuits.scores[ranking]?.values;
  return circuits.circuits[number].edges.map((index) => {
    const [u, v] = circuits.edges[index];
    const [node, reader] = circuits.destinations[v].split("<");
    return { id: u * circuits.destinations.length + v, source: circuits.sources[u], node, kind: reader ? reader[0] : "", reader: circuits.destinations[v], score: scores ? scores[index] : null };
  });
}

/** The edges of either circuit, each with `state`: both, here or there. */
function overlaid(mine, theirs) {
  const [here, there] = [mine, theirs].map((edges) => new Set(edges.map((edge) => edge.id)));
  return [
    ...mine.map((edge) => ({ ...edge, state: there.has(edge.id) ? "both" : "here" })),
    ...theirs.filter((edge) => !here.has(edge.id)).map((edge) => ({ ...edge, state: "there", score: null })),
  ];
}

/** How much two circuits agree, of the edges of `overlaid`. */
function agreement(edges) {
  const count = (state) => edges.filter((edge) => edge.state === state).length;
  const [both, here, there] = ["both", "here", "there"].map(count);
  const share = (whole) => (whole ? both / whole : 1);
  return { both, here, there, jaccard: share(both + here + there), ofHere: share(both + here), ofThere: share(both + there) };
}

/** Where every node of the graph stands. */
function layout(circuits) {
  const names = [...circuits.sources, "logits"];
  const parsed = names.map((name) => /^([am])(\d+)(?:\.h(\d+))?$/.exec(name));
  const heads = 1 + Math.max(0, ...parsed.map((found) => Number(found?.[3] ?? 0)));
  const layers = 1 + Math.max(0, ...parsed.map((found) => Number(found?.[2] ?? 0)));
  const width = 2 * MARGIN + heads * STEP_X + 30, height = 2 * MARGIN + (layers + 1.2) * STEP_Y;
  const up = (level) => height - MARGIN - level * STEP_Y;
  const places = new Map(names.map((name, index) => {
    const found = parsed[index];
    if (!found) return [name, { x: (MARGIN + width - MARGIN) / 2, y: name === "input" ? up(0) : up(layers + 1) }];
    const layer = Number(found[2]) + 1;
    return [name, found[1] === "m" ? { x: width - MARGIN, y: up(layer + 0.4) } : { x: MARGIN + (Number(found[3]) + 0.5) * STEP_X, y: up(layer) }];
  }));
  return { width, height, places };
}

/** One curve, which bows out so that it passes beside the nodes between. */
function curve(from, to, kind) {
  const shift = { q: -9, k: 0, v: 9 }[kind] ?? 0;
  const [x1, y1, x2, y2] = [from.x, from.y - 8, to.x + shift, to.y + 8];
  const bend = Math.min(60, Math.abs(y1 - y2) * 0.25) * (x1 + x2 < 2 * from.x ? -1 : 1);
  return `M${x1} ${y1}C${x1 + bend} ${y1 - (y1 - y2) * 0.35} ${x2 + bend * 0.4} ${y2 + (y1 - y2) * 0.35} ${x2} ${y2}`;
}

/**
 * The drawing. All edges of one colour are one path, so that thousands take no longer than one.
 *
 * @param choose is called with the name of a node that was clicked.
 */
function drawing(place, edges, { chosen, found, choose }) {
  const touches = (edge) => edge.source === chosen || edge.node === chosen;
  const used = new Set(["input", "logits", ...edges.flatMap((edge) => [edge.source, edge.node])]);
  const groups = new Map();
  for (const edge of edges) {
    const front = chosen === null || touches(edge);
    const id = `${edge.state ?? edge.kind}|${front}`;
    groups.set(id, (groups.get(id) ?? "") + curve(place.places.get(edge.source), place.places.get(edge.node), edge.kind));
  }
  const faint = edges.length > 1000 ? 0.25 : edges.length > 200 ? 0.5 : 0.8;
  const paths = [...groups].sort(([a], [b]) => a.endsWith("true") - b.endsWith("true")).map(([id, d]) => {
    const [colour, front] = id.split("|");
    const opacity = front === "false" ? 0.06 : chosen === null ? faint : 0.9;
    return svg("path", { d, class: `edges ${colour || "other"}`, style: `stroke: var(${COLOURS[colour]}); opacity: ${opacity}` });
  });
  const nodes = [...place.places].map(([name, { x, y }]) => {
    const kind = ["node", used.has(name) ? "" : "unused", found(name) ? "found" : "", name === chosen ? "chosen" : ""].join(" ");
    const pick = () => choose(name);
    return svg("g", { class: kind, tabindex: used.has(name) ? 0 : null, "data-name": name, onclick: pick, onkeydown: (event) => event.key === "Enter" && pick() },
      svg("rect", { x: x - 23, y: y - 8, width: 46, height: 16, rx: 4 }), svg("text", { x, y: y + 3.5 }, name));
  });
  // A small graph has room to be read from afar.
  const scale = Math.min(1.7, Math.max(1, 850 / place.width));
  return svg("svg", { class: "graph", width: scale * place.width, height: scale * place.height, viewBox: `0 0 ${place.width} ${place.height}` }, ...paths, ...nodes);
}
