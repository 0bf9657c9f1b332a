// Which page is shown follows from what stands after the # in the address.

async function show() {
  const main = document.getElementById("main");
  try {
    const head = await part("head");
    const [kind, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    const name = decodeURIComponent(rest.join("/"));
    document.getElementById("title").textContent = head.title;
    navigation(head);
    main.replaceChildren(await page(head, kind, name));
    scrollTo(0, 0);
    document.body.dataset.shown = location.hash;
  } catch (error) {
    main.replaceChildren(el("p", { class: "warning" }, `This page cannot be shown: ${error.message}`));
  }
}

async function page(head, kind, name) {
  if (kind === "records") return recordsPage(head);
  if (kind === "claims" && head.claims) return claimsPage(head);
  if (kind === "record" && head.records.some((row) => row.key === name)) return recordPage(head, name);
  if (kind === "study" && Object.hasOwn(head.studies, name)) return rendered(head.studies[name].html);
  if (kind) return el("p", {}, "There is no such page in this report.");
  return overviewPage(head);
}

async function recordPage(head, key) {
  const shown = rendered((await part(key)).html);
  for (const box of shown.querySelectorAll(".circuit")) await circuitView(box, head);
  return shown;
}

/** A page that was rendered, and escaped, when the report was written. */
function rendered(html) {
  const page = el("div");
  page.innerHTML = html;
  return page;
}

function navigation(head) {
  const links = [["#/", "circuits"], ["#/records", "records"], ...(head.claims ? [["#/claims", "claims"]] : []), ...Object.keys(head.studies).map((kind) => [`#/study/${encodeURIComponent(kind)}`, kind])];
  const here = location.hash || "#/";
  const shown = links.filter(([address]) => head.overview || address !== "#/");
  document.getElementById("nav").replaceChildren(...shown.map(([address, words]) => el("a", { href: address, "aria-current": address === here ? "page" : null }, words)));
}

addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
show();
