// The view of a record's circuits: a slider from small to large, search, another record's circuit
// laid over, the edges of a clicked node, and all edges as a table.

async function circuitView(box, head) {
  const mine = (await part(box.dataset.key)).circuits;
  const place = layout(mine), sorted = { column: 3, down: true };
  const state = { number: start(mine), ranking: 0, other: null, otherNumber: 0, chosen: null, search: "" };
  const picture = el("div", { class: "drawing" }), words = el("div", { class: "words" }), table = el("div", { class: "edges" });
  const changed = (changes) => { Object.assign(state, changes); draw(); };

  function draw() {
    const one = mine.circuits[state.number];
    say(one);
    if (!one.edges) {
      picture.replaceChildren(el("p", {}, `A circuit of ${digits(one.size)} edges is too large for this page; its record has it in circuits.safetensors.`));
      table.replaceChildren();
      return;
    }
    const edges = shownEdges(mine, state);
    const found = (name) => state.search !== "" && name.includes(state.search);
    const choose = (name) => changed({ chosen: name === state.chosen ? null : name });
    const top = picture.scrollTop, left = picture.scrollLeft;
    picture.replaceChildren(drawing(place, edges, { chosen: state.chosen, found, choose }));
    picture.scrollTo(left, top);
    table.replaceChildren(edgeTable(edges, state, sorted, () => changed({ chosen: null })));
  }

  function say(one) {
    const lines = [el("p", { class: "size" }, `${digits(one.size)} edges (${one.words || "no setting"}), circuit ${state.number + 1} of ${mine.circuits.length}`)];
    if (state.other && one.edges && state.other.circuits[state.otherNumber].edges) {
      const found = agreement(shownEdges(mine, state));
      lines.push(el("p", { class: "overlap" }, `common ${found.both}, only here ${found.here}, only there ${found.there}; Jaccard ${found.jaccard.toFixed(3)}; ${(100 * found.ofHere).toFixed(1)} % of these edges are there, ${(100 * found.ofThere).toFixed(1)} % of those here`));
      lines.push(legend({ both: "common", here: "only here", there: "only there" }));
    } else lines.push(legend(KINDS));
    words.replaceChildren(...lines);
  }

  box.replaceChildren(controls(mine, state, changed, box.dataset.key, head), words, el("div", { class: "explorer" }, picture, table));
  draw();
  picture.scrollTo(0, picture.scrollHeight);
}

/** The edges to show: of this circuit, or of two. */
function shownEdges(mine, state) {
  const edges = edgesOf(mine, state.number, state.ranking);
  const other = state.other?.circuits[state.otherNumber];
  return other?.edges ? overlaid(edges, edgesOf(state.other, state.otherNumber, 0)) : edges;
}

/** The circuit to begin with: the one of about 40 edges. */
function start(circuits) {
  const apart = circuits.circuits.map(({ size, edges }) => (size && edges ? Math.abs(Math.log(size / 40)) : Infinity));
  return apart.indexOf(Math.min(...apart));
}

function slider(name, circuits, value, moved) {
  const input = el("input", { type: "range", class: name, min: 0, max: circuits.length - 1, step: 1, value, "aria-label": `${name} of circuits`, oninput: () => moved(Number(input.value)) });
  return input;
}

function controls(mine, state, changed, key, head) {
  const search = el("input", { type: "search", placeholder: "node, as a5.h1", "aria-label": "search nodes", oninput: () => changed({ search: search.value.trim() }) });
  const rankings = mine.scores.length > 1 ? choice("scores", mine.scores.map((one, index) => [String(index), one.name || "only"]), "0", (value) => changed({ ranking: Number(value) })) : null;
  const others = head.records.filter((row) => row.graph === mine.graph && row.key !== key);
  const second = el("span");
  const overlay = async (other) => {
    const circuits = other ? (await part(other)).circuits : null;
    const otherNumber = circuits ? nearest(circuits, mine.circuits[state.number].size) : 0;
    second.replaceChildren(...(circuits ? [" its size ", slider("second", circuits.circuits, otherNumber, (number) => changed({ otherNumber: number }))] : []));
    changed({ other: circuits, otherNumber });
  };
  const options = [["", "nothing"], ...others.map((row) => [row.key, `${row.method}, ${row.task}, ${row.ablation}, seed ${row.seed}`])];
  return el("div", { class: "bar" },
    el("label", {}, "size ", slider("first", mine.circuits, state.number, (number) => changed({ number }))),
    search, rankings,
    others.length ? choice("lay over", options, "", overlay) : null, second);
}

function nearest(circuits, size) {
  const apart = circuits.circuits.map((one) => Math.abs(Math.log((one.size + 1) / (size + 1))));
  return apart.indexOf(Math.min(...apart));
}

function edgeTable(edges, state, sorted, reset) {
  const columns = [
    { head: "from", value: (edge) => edge.source },
    { head: "to", value: (edge) => edge.node },
    { head: "read as", value: (edge) => KINDS[edge.kind] },
    { head: "score", number: true, down: true, value: (edge) => (edge.score === null ? null : Math.abs(edge.score)), cell: (edge) => digits(edge.score) },
    ...(state.other ? [{ head: "in", value: (edge) => ({ both: "both", here: "only here", there: "only there" })[edge.state] }] : []),
  ];
  const of = (rows, words) => el("div", {}, el("h3", {}, `${words}: ${rows.length}`), sortable(columns, rows, sorted));
  if (state.chosen !== null) {
    const back = el("button", { type: "button", onclick: reset }, "all edges");
    return el("div", {}, el("p", {}, el("b", {}, state.chosen), " ", back), el("div", { class: "columns" },
      of(edges.filter((edge) => edge.node === state.chosen), "into it"), of(edges.filter((edge) => edge.source === state.chosen), "out of it")));
  }
  const matches = (edge) => edge.source.includes(state.search) || edge.reader.includes(state.search);
  return of(edges.filter(matches), state.search ? `edges of ${state.search}` : "edges");
}

function legend(names) {
  const lines = Object.entries(names).map(([kind, name]) => el("span", {}, el("i", { style: `border-color: var(${COLOURS[kind]})` }), name));
  return el("div", { class: "legend" }, ...lines);
}
