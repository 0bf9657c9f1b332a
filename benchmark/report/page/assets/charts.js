// Vega-Lite charts of the cells that the filters leave: curves, quality against cost, and the map.

const SMALLEST_GAP = 1e-5;
// Vega's level of messages that are no warnings.
const ERROR = 1;
const MEASURES = { loss_gap: "loss gap (nats)", faithfulness: "normalised faithfulness" };

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Black lines are lost on dark paper.
const colourOf = (look) => (look.colour === "#000000" ? ink("--ink") : look.colour);
const placeOf = (cell) => `${cell.task} / ${cell.model} / ${cell.evaluation}`;

function chartsOf(data, cells, refresh) {
  if (!cells.length) return [el("p", {}, "Nothing is left; choose more above.")];
  const places = distinct(cells.map(placeOf));
  if (!places.includes(view.place)) view.place = places[0];
  const set = (name) => (value) => { view[name] = value; refresh(); };
  const controls = el("div", { class: "bar curves" },
    choice("task / model / evaluated under", places.map((place) => [place, place]), view.place, set("place")),
    choice("measure", Object.entries(MEASURES), view.measure, set("measure")),
    tick("log size", view.logX, set("logX")),
    view.measure === "loss_gap" ? tick("log gap", view.logY, set("logY")) : null,
    data.published.length ? tick("published", view.published, set("published")) : null);
  const score = data.scores.find((one) => one.name === view.score);
  const scores = choice("score", data.scores.map((one) => [one.name, one.title]), view.score, set("score"));
  const better = el("p", { class: "quiet" }, `${score.title}: ${score.lower ? "lower" : "higher"} is better`);
  const known = cells.filter((cell) => cell.scores[score.name][0] !== null);
  return [
    el("h2", {}, "Curves"), controls, chart("curves", curvesSpec(data, cells)),
    el("h2", {}, "Quality, cost and place"), el("div", { class: "bar" }, scores), better,
    ...(known.length ? [chart("cost", costSpec(data, known, score)), chart("map", mapSpec(known, score))] : [el("p", {}, "No record has this score.")]),
  ];
}

/** A chart in an element of its own; a click on what belongs to one record leads to it. */
function chart(name, spec) {
  const place = el("div", { class: `chart ${name}` });
  const actions = { export: true, source: false, compiled: false, editor: false };
  // Its width is known once it stands in the page.
  requestAnimationFrame(async () => {
    const made = await vegaEmbed(place, themed(spec), { actions, renderer: "svg", logLevel: ERROR });
    made.view.addEventListener("click", (event, item) => {
      if (item?.datum?.key) location.hash = `#/record/${encodeURIComponent(item.datum.key)}`;
    });
  });
  return place;
}

function themed(spec) {
  const text = { labelColor: ink("--ink"), titleColor: ink("--ink"), labelLimit: 420, titleLimit: 420 };
  const config = { axis: { ...text, gridColor: ink("--line"), domainColor: ink("--line"), tickColor: ink("--line") }, legend: { ...text, symbolLimit: 60, orient: innerWidth < 800 ? "bottom" : "right", columns: 1 }, view: { stroke: null } };
  return { $schema: "https://vega.github.io/schema/vega-lite/v6.json", background: null, width: "container", autosize: { type: "fit-x", contains: "padding" }, config, ...spec };
}

/** A method's name, with what it worked under where that is not always what it is judged under. */
function namer(cells) {
  const same = cells.every((cell) => cell.ablation === cell.evaluation);
  return (cell) => (same ? cell.method : `${cell.method} (found under ${cell.ablation})`);
}

const isReference = (name) => name.split(" ")[0] === "reference";

function curvesSpec(data, all) {
  const cells = all.filter((cell) => placeOf(cell) === view.place);
  const name = namer(cells);
  const points = cells.flatMap((cell) => pointsOf(cell, name(cell)));
  const theirs = view.published ? data.published.filter((row) => placeOf(row) === view.place && row.measure === view.measure) : [];
  const looks = {};
  cells.forEach((cell) => { looks[name(cell)] = data.looks[cell.method]; });
  theirs.forEach((row) => { looks[`${row.method} (published)`] = { ...data.looks[row.method], dash: [2, 2] }; });
  const lines = distinct(points.map((row) => row.method)).filter((method) => !isReference(method)).flatMap((method) => lineOf(points.filter((row) => row.method === method)));
  const published = theirs.map((row) => ({ method: `${row.method} (published)`, size: row.size, value: row.value }));
  const names = Object.keys(looks);
  const scale = (of) => ({ domain: names, range: names.map((key) => of(looks[key])) });
  const logY = view.logY && view.measure === "loss_gap";
  const axis = (field, title, log) => ({ field, type: "quantitative", title, scale: log ? { type: "log", nice: false } : { zero: false }, axis: { format: "~g", labelOverlap: true, tickCount: 8 } });
  const x = axis("size", "edges in the circuit", view.logX), y = axis("value", MEASURES[view.measure], logY);
  const color = { field: "method", title: "method (click to pick)", scale: scale(colourOf) };
  const opacity = { condition: { param: "picked", value: 1 }, value: 0.12 };
  const strokeDash = { field: "method", title: color.title, scale: scale((look) => (look.dash.length ? look.dash : [1, 0])) };
  const tooltip = ["method", "setting", "seed", "size", "value", "low", "high"].map((field) => ({ field, title: field === "value" ? MEASURES[view.measure] : field }));
  return {
    height: 380,
    layer: [
      { data: { values: [...lines, ...published] }, mark: { type: "line", strokeWidth: 2 }, encoding: { x, y, color, opacity, strokeDash } },
      { data: { values: points.filter((row) => row.low !== null) }, mark: { type: "rule", strokeWidth: 0.8 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color, opacity } },
      { data: { values: points }, params: [{ name: "picked", select: { type: "point", fields: ["method"] }, bind: "legend" }], mark: { type: "point", filled: true, size: 55, cursor: "pointer" }, encoding: { x, y, color, opacity, shape: { field: "method", title: color.title, scale: scale((look) => look.shape) }, tooltip } },
    ],
  };
}

function pointsOf(cell, method) {
  const gaps = view.measure === "loss_gap", least = (number) => (number === null ? null : Math.max(number, SMALLEST_GAP));
  return cell.curve.map(([size, gap, low, high, faithfulness, setting]) => ({ key: cell.key, seed: cell.seed, method, size, setting, value: gaps ? least(gap) : faithfulness, low: gaps ? least(low) : null, high: gaps ? least(high) : null }))
    .filter((row) => row.value !== null);
}

/** The mean over circuits of one size; of loss gaps the smallest so far. */
function lineOf(points) {
  const sizes = distinct(points.map((row) => row.size)).sort((a, b) => a - b);
  let best = Infinity;
  return sizes.map((size) => {
    const values = points.filter((row) => row.size === size).map((row) => row.value);
    const mean = values.reduce((a, b) => a + b) / values.length;
    best = view.measure === "loss_gap" ? Math.min(best, mean) : mean;
    return { method: points[0].method, size, value: best };
  });
}

function costSpec(data, cells, score) {
  const name = namer(cells), looks = {};
  cells.forEach((cell) => { looks[name(cell)] = data.looks[cell.method]; });
  const values = cells.map((cell) => ({ key: cell.key, method: name(cell), where: placeOf(cell), seed: cell.seed, passes: Math.max(1, cell.passes), seconds: cell.seconds, value: cell.scores[score.name][0] }));
  const names = Object.keys(looks), scale = (of) => ({ domain: names, range: names.map((key) => of(looks[key])) });
  const tooltip = ["method", "where", "seed", "passes", "seconds", "value"].map((field) => ({ field, title: field === "value" ? score.title : field }));
  return {
    height: 300, data: { values }, mark: { type: "point", filled: true, size: 70, opacity: 0.85, cursor: "pointer" },
    encoding: { x: { field: "passes", type: "quantitative", scale: { type: "log" }, title: "passes of the method (prompts, forward + backward)", axis: { format: "~s" } }, y: { field: "value", type: "quantitative", title: score.title, scale: { zero: false } }, color: { field: "method", scale: scale(colourOf) }, shape: { field: "method", scale: scale((look) => look.shape) }, tooltip },
  };
}

/** Methods by tasks: the mean over seeds; the brighter, the better. */
function mapSpec(cells, score) {
  const name = namer(cells), groups = new Map();
  for (const cell of cells) {
    const id = JSON.stringify([name(cell), placeOf(cell)]);
    groups.set(id, [...(groups.get(id) ?? []), cell]);
  }
  const values = [...groups.values()].map((group) => {
    const mean = group.reduce((sum, cell) => sum + cell.scores[score.name][0], 0) / group.length;
    return { method: name(group[0]), where: placeOf(group[0]), value: mean, shown: digits(mean), records: group.length, key: group[0].key };
  });
  const numbers = values.map((row) => row.value), middle = (Math.min(...numbers) + Math.max(...numbers)) / 2;
  const axis = (field, angle) => ({ field, type: "nominal", title: null, axis: { labelAngle: angle } });
  const dark = `datum.value ${score.lower ? ">" : "<"} ${middle}`;
  const tooltip = ["method", "where", "value", "records"].map((field) => ({ field, title: field === "value" ? score.title : field }));
  return {
    height: { step: 30 }, data: { values }, encoding: { x: axis("where", -30), y: axis("method", 0), tooltip },
    layer: [
      { mark: { type: "rect", cursor: "pointer" }, encoding: { color: { field: "value", type: "quantitative", title: score.title, scale: { scheme: "viridis", reverse: score.lower, zero: false } } } },
      { mark: { type: "text", cursor: "pointer" }, encoding: { text: { field: "shown" }, color: { condition: { test: dark, value: "white" }, value: "black" } } },
    ],
  };
}
