// What papers claim, and what is true of these records.

function claimsPage(head) {
  const columns = [
    { head: "claim", free: true, value: (row) => row.sentence, cell: (row) => el("span", { title: `${row.claim}: ${row.source}` }, row.sentence) },
    ...["model", "against", "measured", "rule"].map((name) => ({ head: name, free: name === "against", value: (row) => row[name] })),
    { head: "verdict", value: (row) => row.verdict, cell: (row) => el("b", { title: row.why }, row.verdict) },
    { head: "published", free: true, value: (row) => row.published },
    { head: "records", free: true, value: (row) => row.keys.length, cell: (row) => el("span", {}, ...row.keys.flatMap((key) => [recordLink(key, key.slice(0, 6)), " "])) },
  ];
  return el("div", {}, el("h2", {}, "Claims"), el("p", { class: "quiet" }, head.claims.note), sortable(columns, head.claims.rows, { column: null, down: false }));
}
