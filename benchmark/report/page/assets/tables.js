// A table that is sorted by a click on a head, and shows its first rows until asked for more.

const FIRST_ROWS = 200;

/**
 * @param columns each {head, value(row), cell(row), number, free}: `value` is what it is sorted by
 *   (null comes last), `cell` a node or text where that is not what is shown, `free` lets it wrap.
 * @param sorted {column: index, down: bool}, kept by the caller so that it outlives the table.
 */
function sortable(columns, rows, sorted) {
  const body = el("tbody");
  const heads = columns.map((column, index) => {
    const sort = () => {
      sorted.down = sorted.column === index ? !sorted.down : Boolean(column.down);
      sorted.column = index;
      fill(FIRST_ROWS);
    };
    const button = el("button", { type: "button", onclick: sort }, column.head);
    return el("th", { scope: "col", class: column.number ? "number" : null }, button);
  });
  const more = el("button", { type: "button", onclick: () => fill(rows.length) });
  const table = el("table", { class: "grid" }, el("thead", {}, el("tr", {}, ...heads)), body);

  function fill(limit) {
    const column = columns[sorted.column];
    const ordered = column ? [...rows].sort((a, b) => compare(column.value(a), column.value(b), sorted.down)) : rows;
    body.replaceChildren(...ordered.slice(0, limit).map((row) => rowOf(columns, row)));
    heads.forEach((head, index) => {
      const way = sorted.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", index === sorted.column ? way : "none");
      head.firstChild.textContent = columns[index].head + (index === sorted.column ? (sorted.down ? " ▾" : " ▴") : "");
    });
    more.hidden = ordered.length <= limit;
    more.textContent = `show all ${ordered.length} rows`;
  }
  fill(FIRST_ROWS);
  return el("div", {}, el("div", { class: "wide" }, table), more);
}

function rowOf(columns, row) {
  const cells = columns.map((column) => {
    const shown = column.cell ? column.cell(row) : column.value(row);
    const kind = column.number ? "number" : column.free ? "free" : null;
    return el("td", { class: kind }, shown instanceof Node ? shown : String(shown ?? "-"));
  });
  return el("tr", {}, ...cells);
}

function compare(a, b, down) {
  const [lackA, lackB] = [a === null || a === undefined, b === null || b === undefined];
  if (lackA || lackB) return lackA - lackB;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
}
