"use strict";
// Texts reach the page through textContent alone: what models and datasets wrote is never read as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const PAGE = 25; // rows of the browser at a time
const LONG = 300; // table rows before the rest waits for a filter

function make(tag, text, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== null && text !== undefined) node.textContent = shown(text);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Control characters, those that turn the reading direction and halves of surrogate pairs, as something visible.
function shown(text) {
  return String(text)
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Cs}/gu,
      (c) => "⟨U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩");
}

// ---- theme
const root = document.documentElement;
const drawn = new Map();
function theme(name) {
  root.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  for (const [place, panel] of drawn) draw(place, panel);
}
function stored() { try { return localStorage.getItem("dgr-theme"); } catch { return null; } }
$("theme").addEventListener("click", () => {
  const name = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("dgr-theme", name); } catch { /* a page of its own without storage */ }
  theme(name);
});
const preferred = matchMedia("(prefers-color-scheme: dark)");
preferred.addEventListener("change", () => { if (!stored()) theme(preferred.matches ? "dark" : "light"); });

// ---- figures
function draw(place, panel) {
  const style = getComputedStyle(root);
  const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  const axis = (own) => ({ gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, ...own });
  const ground = style.getPropertyValue("--ground").trim();
  const narrow = place.clientWidth < 520;
  const legend = { orientation: "h", yref: "container", yanchor: "bottom", y: 0, xanchor: "left", x: 0, traceorder: "normal" };
  const layout = {
    height: 440, ...panel.layout, font: { color: ink, family: "system-ui, sans-serif", size: narrow ? 11 : 13 }, legend,
    paper_bgcolor: ground, plot_bgcolor: ground, margin: { l: narrow ? 45 : 60, r: 15, t: 25, b: narrow ? 110 : 90 }, hovermode: "closest",
    xaxis: axis(panel.layout.xaxis), yaxis: axis(panel.layout.yaxis),
  };
  const long = (panel.layout.yaxis || {}).autorange === "reversed"; // names of settings
  if (long && narrow) layout.yaxis = { ...layout.yaxis, tickfont: { size: 8 } };
  const traces = panel.data.map((trace) => trace.mode === "markers+text" ? { ...trace, textfont: { color: ink } } : trace);
  drawn.set(place, panel);
  Plotly.react(place, traces, layout, {
    responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover",
    showSendToCloud: false, plotlyServerURL: "", modeBarButtonsToRemove: ["select2d", "lasso2d"], // nothing is uploaded
  });
}

function figures() {
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target, entry.target.panel);
  }, { rootMargin: "300px" });
  for (const figure of data.figures) {
    if (!figure.panels.length) { data.notes.push(`Figure “${figure.title}”: ${figure.reason}`); continue; }
    const section = make("section", null, { id: figure.id, "data-nav": figure.id });
    section.append(make("h2", figure.title), make("p", figure.reading, { class: "note" }));
    const panels = make("div", null, { class: "panels" });
    for (const panel of figure.panels) {
      const place = make("div", null, { class: "plot", role: "img", "aria-label": `${figure.title} ${panel.title}`.trim() });
      place.panel = panel;
      place.style.minHeight = `${panel.layout.height || 440}px`; // drawn when seen, without moving the page
      const holder = make("div");
      if (panel.title) holder.append(make("h3", unescaped(panel.title)));
      holder.append(place);
      panels.append(holder);
    }
    section.append(panels);
    $("figures").append(section);
  }
  // plotly comes last in the page, so that the numbers are there before it
  const begin = () => document.querySelectorAll(".plot").forEach((place) => watch.observe(place));
  if (window.Plotly) begin(); else addEventListener("DOMContentLoaded", begin);
  addEventListener("beforeprint", () => {
    for (const place of document.querySelectorAll(".plot")) if (!drawn.has(place)) draw(place, place.panel);
  });
}
// Titles are escaped for plotly, which reads tags; outside of it they are plain text.
function unescaped(text) {
  const known = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&" };
  return text.replace(/&(lt|gt|quot|#x27|amp);/g, (entity) => known[entity]);
}

// ---- tables
function sortable(table, headers, rows, key, render) {
  const state = { column: -1, up: true };
  const head = make("tr");
  headers.forEach((text, column) => {
    const button = make("button", text, { type: "button" });
    button.addEventListener("click", () => {
      state.up = state.column === column ? !state.up : true;
      state.column = column;
      [...head.children].forEach((cell, at) =>
        cell.setAttribute("aria-sort", at !== column ? "none" : state.up ? "ascending" : "descending"));
      fill();
    });
    head.append(make("th", null, { scope: "col", "aria-sort": "none" }, button));
  });
  const body = make("tbody");
  table.replaceChildren(make("thead", null, {}, head), body);
  function fill() {
    const found = [...rows()];
    if (state.column >= 0) found.sort((a, b) => compared(key(a, state.column), key(b, state.column), state.up));
    body.replaceChildren(...found.slice(0, LONG).map(render));
    return found.length;
  }
  return fill;
}
// Rows without a number stand last, whichever way the column is sorted.
function compared(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return up ? order : -order;
}

function results() {
  const wanted = () => data.tables[$("table-rows").value];
  const rows = () => {
    const words = $("table-filter").value.toLowerCase().split(/\s+/);
    return wanted().filter((row) => words.every((word) => row.name.toLowerCase().includes(word)));
  };
  const key = (row, column) => column === 0 ? row.name : row.cells[column - 1] && row.cells[column - 1][0];
  const fill = sortable($("table"), ["run", ...data.columns], rows, key, (row) => {
    const name = make("td");
    if (row.run === null) name.textContent = shown(row.name);
    else {
      const button = make("button", row.name, { type: "button", class: "link", title: "command and config" });
      button.addEventListener("click", () => { $("p-run").value = row.run; point(); $("points").scrollIntoView(); });
      name.append(button);
    }
    const cells = row.cells.map((cell) => cell
      ? make("td", cell[1], { title: cell[3] ? `n = ${cell[3]}` : "" }, make("span", cell[2], { class: "interval" }))
      : make("td", "–"));
    return make("tr", null, row.untouched ? { class: "untouched" } : {}, name, ...cells);
  });
  const refresh = () => {
    const count = fill();
    const rest = count > LONG ? `, the first ${LONG} shown` : "";
    $("table-count").textContent = `${count} of ${wanted().length} rows${rest}`;
    const spread = $("table-rows").value === "settings" && data.seeds ? "standard deviation over seeds (standard error where there is one seed)" : "standard error";
    $("table-note").textContent = `± is one ${spread}; below it the 95 % interval. A column's head sorts.`;
  };
  $("table-rows").value = data.seeds ? "settings" : "runs";
  $("table-rows").addEventListener("change", refresh);
  $("table-filter").addEventListener("input", refresh);
  refresh();
}

function paired() {
  if (!data.paired.length) { $("paired").hidden = true; return; }
  $("paired-note").textContent = shown(`Points of difference to ${data.baseline} on the same items and seeds; Holm's correction is over this table. Coloured: beyond chance at 5 % after the correction, green where it is for the better.`);
  const headers = ["run", "benchmarks", "points", "95 % interval", "p", "p (Holm)", "seeds", "items", "test"];
  const value = [0, 1, 2, 2, 5, 6, 7, 8, 9];
  const short = (p) => p < 0.001 ? p.toExponential(1) : p.toFixed(3);
  sortable($("paired-table"), headers, () => data.paired, (row, column) => row[value[column]], (row) => {
    const [name, kind, effect, points, interval, p, holm, seeds, items, method, sure] = row;
    const better = (effect > 0) === (kind === "reasoning accuracy");
    const tone = sure ? { class: better ? "better" : "worse" } : {};
    return make("tr", null, {}, make("td", name), make("td", kind), make("td", points, tone), make("td", interval),
      make("td", short(p)), make("td", short(holm)), make("td", seeds), make("td", items), make("td", method));
  })();
}

// ---- command and config
function point() {
  const run = data.runs[$("p-run").value];
  if (!run) return;
  $("p-command").textContent = run.command;
  $("p-config").textContent = run.config.map((line) => data.lines[line]).join("\n");
}
async function copy(button) {
  const text = $(button.dataset.copy).textContent, said = button.textContent;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = make("textarea"); // a file:// page may not have a clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = said; }, 1500);
}

// ---- browser of samples and replies
const waiting = new Map();
window.dgrRows = (file, parts) => { waiting.get(file)?.(parts); waiting.delete(file); };
function load(file) {
  return new Promise((done, failed) => {
    const script = make("script", null, { src: `${data.rows}/${file}` });
    waiting.set(file, done);
    script.onerror = () => failed(new Error(`${data.rows}/${file} is not beside this report; copy the folder too`));
    script.onload = () => script.remove();
    document.head.append(script);
  });
}
async function* rowsOf(runs, part) {
  for (const run of runs)
    for (const [file, counts] of run.chunks) {
      if (!counts[part]) continue;
      const keys = part === data.samplesPart ? data.keys.samples : data.keys.replies;
      for (const values of (await load(file))[part])
        yield [run, Object.fromEntries(keys.map((key, at) => [key, values[at]]))];
    }
}
const OUTCOMES = { accepted: (row) => row.accepted, "fallback (the source is kept)": (row) => row.fallback,
  "not rewritten": (row) => !row.accepted && !row.fallback };
const VERDICTS = ["correct", "wrong", "refusal", "compliance", "garbled", "unparsable"];
function fits(row, only, words) {
  const right = !only || (only in OUTCOMES ? OUTCOMES[only](row) : only === "truncated" ? row.truncated : row.verdict === only);
  if (!right || !words.length) return right;
  const text = Object.values(row).filter((value) => typeof value === "string").join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}
let asked = 0, found = null;
async function browse(fresh) {
  const mine = ++asked, part = $("b-part").value;
  const runs = $("b-run").value === "all" ? data.runs : [data.runs[$("b-run").value]];
  const total = runs.reduce((sum, run) => sum + run.chunks.reduce((n, [, counts]) => n + (counts[part] || 0), 0), 0);
  if (fresh) { $("b-rows").replaceChildren(); found = { rows: rowsOf(runs, part), seen: 0, shown: 0 }; }
  const here = found, words = $("b-search").value.toLowerCase().split(/\s+/).filter(Boolean), only = $("b-only").value;
  $("b-more").hidden = true;
  let added = 0, ended = false;
  try {
    while (added < PAGE) {
      const next = await here.rows.next();
      if (mine !== asked) return;
      if (next.done) { ended = true; break; }
      here.seen += 1;
      if (here.seen % 2000 === 0) $("b-status").textContent = `${here.seen} of ${total} read …`;
      const [run, row] = next.value;
      if (!fits(row, only, words)) continue;
      $("b-rows").append(part === data.samplesPart ? sample(run, row) : reply(run, row));
      added += 1;
    }
    here.shown += added;
    $("b-status").textContent = ended ? `${here.shown} of ${total} rows match` : `${here.shown} shown, ${here.seen} of ${total} read`;
    $("b-more").hidden = ended;
  } catch (error) { $("b-status").textContent = shown(error.message); }
}
const tag = (text) => make("span", text, { class: "tag" });
const text = (label, ...nodes) => make("div", null, {}, make("h3", label), make("div", null, { class: "text" }, ...nodes));
function sample(run, row) {
  const outcome = Object.keys(OUTCOMES).find((name) => OUTCOMES[name](row));
  const whole = (reasoning, answer) => `${reasoning || ""}\n—\n${answer || ""}`;
  const nll = (value) => typeof value === "number" ? ` · ${value.toFixed(2)} nats/token` : "";
  const [left, right] = differences(whole(row.source_reasoning, row.source_answer), whole(row.reasoning, row.answer));
  const failed = (row.failed || []).flat();
  const tags = [tag(outcome), tag(`attempts: ${row.attempts}`), ...(failed.length ? [tag(`failed: ${failed.join(", ")}`)] : [])];
  return make("article", null, { class: "row" }, make("p", null, {}, ...tags, shown(`${row.id} · ${run.name}`)), text("request", shown(row.prompt)),
    make("div", null, { class: "sides" }, text(`source${nll(row.nll_before)}`, ...left), text(`trained on${nll(row.nll_after)}`, ...right)));
}
function reply(run, row) {
  const verdict = [row.why, row.truncated && "the reply was cut off", row.gold && `right answer: ${row.gold}`];
  return make("article", null, { class: "row" }, make("p", null, {}, tag(row.verdict), shown(`${row.id} · ${run.name}`)),
    make("div", null, { class: "sides" }, text("prompt", shown(row.prompt)), text(`reply · ${row.thinking_tokens} tokens of thinking`, shown(row.reply)),
      text(`verdict: ${row.verdict}`, shown(verdict.filter(Boolean).join("\n")))));
}
// Words of the longest common subsequence stay plain; the others are marked. Very long texts are not compared.
function differences(a, b) {
  const [x, y] = [a, b].map((side) => shown(side).match(/\s+|\S+/g) || []);
  if (x.length * y.length > 4e6 || a === b) return [[shown(a)], [shown(b)]];
  const wide = y.length + 1, longest = new Uint16Array((x.length + 1) * wide);
  for (let i = x.length - 1; i >= 0; i--)
    for (let j = y.length - 1; j >= 0; j--)
      longest[i * wide + j] = x[i] === y[j] ? longest[(i + 1) * wide + j + 1] + 1
        : Math.max(longest[(i + 1) * wide + j], longest[i * wide + j + 1]);
  const left = [], right = [];
  let i = 0, j = 0;
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) { left.push(x[i++]); right.push(y[j++]); }
    else if (j >= y.length || (i < x.length && longest[(i + 1) * wide + j] >= longest[i * wide + j + 1])) left.push(make("del", x[i++]));
    else right.push(make("ins", y[j++]));
  }
  return [left, right];
}
function options(select, pairs) { select.replaceChildren(...pairs.map(([value, label]) => make("option", label, { value }))); }
function partsOf() {
  const runs = $("b-run").value === "all" ? data.runs : [data.runs[$("b-run").value]];
  const names = new Set(runs.flatMap((run) => run ? run.chunks.flatMap(([, counts]) => Object.keys(counts)) : []));
  const before = $("b-part").value;
  options($("b-part"), [...names].map((name) => [name, name === data.samplesPart ? name : name.replaceAll("_", " ")]));
  if (names.has(before)) $("b-part").value = before;
  onlyOf();
}
function onlyOf() {
  const names = $("b-part").value === data.samplesPart ? Object.keys(OUTCOMES) : [...VERDICTS, "truncated"];
  const before = $("b-only").value;
  options($("b-only"), [["", "all"], ...names.map((name) => [name, name])]);
  if (names.includes(before)) $("b-only").value = before;
}

// ---- what the runs say about the claims
function studies() {
  if (!data.studies.length) { $("studies").hidden = true; return; }
  for (const [title, sentences, headers, rows] of data.studies) {
    const head = make("tr", null, {}, ...headers.map((text) => make("th", text, { scope: "col" })));
    const body = rows.map((row) => make("tr", null, {}, ...row.map((text) => make("td", text))));
    const table = make("table", null, {}, make("thead", null, {}, head), make("tbody", null, {}, ...body));
    const holder = make("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table);
    $("studies-list").append(make("h3", title), ...sentences.map((text) => make("p", text)), holder);
  }
}

// ---- start
$("title").textContent = shown(`Safety tax: ${data.title}`);
$("finding").append(...data.finding.filter(Boolean).map((line) => make("p", line)));
$("rows-folder").textContent = data.rows;
$("footer").textContent = `Made ${data.made} from ${data.runs.length} finished runs. Every number is in comparison.csv beside this file.`;
theme(stored() || (preferred.matches ? "dark" : "light"));
results();
paired();
studies();
figures();
const names = data.runs.map((run, number) => [number, run.name]);
options($("p-run"), names);
options($("b-run"), [...names, ...(names.length > 1 ? [["all", "every run"]] : [])]);
const rewritten = data.runs.findIndex((run) => run.name.includes("-dgr-"));
if (rewritten >= 0) $("b-run").value = rewritten;
partsOf();
point();
$("p-run").addEventListener("change", point);
$("b-run").addEventListener("change", partsOf);
$("b-part").addEventListener("change", onlyOf);
$("browse").addEventListener("submit", (event) => { event.preventDefault(); browse(true); });
$("b-more").addEventListener("click", () => browse(false));
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
if (!data.notes.length) $("notes").hidden = true;
$("notes-list").append(...data.notes.map((line) => make("li", line)));
for (const section of document.querySelectorAll("section:not([hidden])"))
  $("nav").append(make("a", section.dataset.nav, { href: `#${section.id}` }));
