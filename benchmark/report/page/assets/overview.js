// The first page: the leaderboard of all cells with its filters, and the charts of what is left.

const AXES = ["task", "model", "method", "ablation", "evaluation"];
const HEADS = { ablation: "found under", evaluation: "evaluated under" };
// What was chosen outlives a look at a record.
const view = { chosen: {}, sorted: null, score: null, place: null, measure: "loss_gap", logX: true, logY: true, published: false };

function overviewPage(head) {
  const data = head.overview;
  if (!data) return el("p", {}, "There are no circuits among these records; see the studies above.");
  view.score ??= data.scores[0].name;
  const table = el("div", { id: "leaderboard" });
  const charts = el("div");
  const refresh = () => {
    const cells = data.cells.filter(isChosen);
    table.replaceChildren(leaderboard(data, cells));
    charts.replaceChildren(...chartsOf(data, cells, refresh));
  };
  refresh();
  const notes = data.notes.map((note) => el("p", { class: "warning" }, note));
  return el("div", {}, ...notes, filters(data.cells, refresh), el("h2", {}, "Leaderboard"), table, charts);
}

const isChosen = (cell) => AXES.every((axis) => !view.chosen[axis]?.has(cell[axis]));

/** A box to open for each axis that varies; what is not ticked is left out. */
function filters(cells, refresh) {
  const boxes = AXES.map((axis) => {
    const names = distinct(cells.map((cell) => cell[axis])).sort();
    if (names.length < 2) return null;
    const out = (view.chosen[axis] ??= new Set());
    const summary = el("summary");
    const say = () => { summary.textContent = `${HEADS[axis] ?? axis}: ${out.size ? `${names.length - out.size} of ${names.length}` : "all"}`; };
    const changed = () => { say(); refresh(); };
    const ticks = names.map((name) => tick(name, !out.has(name), (on) => { on ? out.delete(name) : out.add(name); changed(); }));
    const set = (without) => { out.clear(); without.forEach((name) => out.add(name)); changed(); ticks.forEach((label, i) => { label.firstChild.checked = !out.has(names[i]); }); };
    const all = el("button", { type: "button", onclick: () => set([]) }, "all");
    const none = el("button", { type: "button", onclick: () => set(names) }, "none");
    say();
    return el("details", { class: "filter", "data-axis": axis }, summary, el("div", {}, all, " ", none, ...ticks));
  });
  return el("div", { class: "bar filters" }, ...boxes.filter(Boolean));
}

/** Every score of every cell that has it, with its interval; a click leads to the record. */
function leaderboard(data, cells) {
  const varying = [...AXES, "seed"].filter((axis) => axis === "method" || distinct(data.cells.map((cell) => cell[axis])).length > 1);
  const scores = data.scores.filter((score) => data.cells.some((cell) => cell.scores[score.name][0] !== null));
  const columns = [
    ...varying.map((axis) => ({ head: HEADS[axis] ?? axis, free: axis === "method", value: (cell) => cell[axis], cell: (cell) => axis === "method" ? recordLink(cell.key, cell.method) : named(cell, axis) })),
    ...scores.map((score) => ({ head: score.title, number: true, down: !score.lower, value: (cell) => cell.scores[score.name][0], cell: (cell) => recordLink(cell.key, withInterval(cell.scores[score.name])) })),
    { head: "passes", number: true, value: (cell) => cell.passes, cell: (cell) => digits(cell.passes) },
    { head: "seconds", number: true, value: (cell) => cell.seconds, cell: (cell) => digits(cell.seconds) },
  ];
  view.sorted ??= { column: varying.length, down: !scores[0]?.lower };
  const count = el("p", { class: "quiet" }, `${cells.length} of ${data.cells.length} cells`);
  return el("div", {}, count, sortable(columns, cells, view.sorted));
}

const named = (cell, axis) => axis === "task" && cell.weak !== null ? `${cell.task} †` : String(cell[axis]);

function withInterval([value, low, high]) {
  return low === null ? digits(value) : `${digits(value)} [${digits(low)}, ${digits(high)}]`;
}

function recordsPage(head) {
  const found = el("input", { type: "search", placeholder: "task, method, key, note ...", "aria-label": "search records" });
  const place = el("div");
  const sorted = { column: 0, down: false };
  const columns = ["kind", "task", "model", "method", "ablation", "seed"].map((axis) => ({ head: axis, free: axis === "method", value: (row) => row[axis] }));
  columns.push({ head: "state", value: (row) => row.state, cell: (row) => el("b", { class: `state ${row.state}` }, row.state) });
  columns.push({ head: "key", value: (row) => row.key, cell: (row) => recordLink(row.key, row.key) });
  columns.push({ head: "", free: true, value: (row) => row.note });
  const refresh = () => {
    const words = found.value.toLowerCase().split(/\s+/);
    const rows = head.records.filter((row) => { const text = Object.values(row).join(" ").toLowerCase(); return words.every((word) => text.includes(word)); });
    place.replaceChildren(el("p", { class: "quiet" }, `${rows.length} of ${head.records.length} records`), sortable(columns, rows, sorted));
  };
  found.addEventListener("input", refresh);
  refresh();
  const lost = head.left_out.map((line) => el("p", { class: "warning" }, `left out: ${line}`));
  return el("div", {}, el("h2", {}, "Records"), ...lost, found, place);
}
