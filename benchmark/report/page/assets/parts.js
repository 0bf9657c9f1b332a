// Parts of the report, and making elements. Text is only ever set as text, never read as HTML,
// but for pages that were rendered with everything escaped.

const ready = {};

/** A part of the report by its name, decompressed when it is first asked for. */
function part(name) {
  ready[name] ??= read(name);
  return ready[name];
}

async function read(name) {
  if (!(name in parts)) await loadScript((await part("head")).files[name]);
  const bytes = Uint8Array.from(atob(parts[name]), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function loadScript(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${source} is missing beside this page`));
    script.src = source;
    document.head.append(script);
  });
}

/** An element with attributes, listeners (functions, by "onclick" and the like) and children. */
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function recordLink(key, text) {
  return el("a", { href: `#/record/${encodeURIComponent(key)}` }, text);
}

function choice(label, options, value, changed) {
  const select = el("select", { onchange: () => changed(select.value) });
  for (const [name, text] of options) select.append(el("option", { value: name, selected: name === value }, text));
  return el("label", {}, `${label} `, select);
}

function tick(label, checked, changed) {
  const box = el("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  return el("label", {}, box, ` ${label}`);
}

const distinct = (values) => [...new Set(values)];

/** A number in four digits, as tables show it. */
function digits(number) {
  if (number === null || number === undefined) return "-";
  if (Number.isInteger(number)) return number.toLocaleString("en");
  const size = Math.abs(number);
  return size >= 1e5 || size < 1e-3 ? number.toExponential(2) : String(Number(number.toPrecision(4)));
}
