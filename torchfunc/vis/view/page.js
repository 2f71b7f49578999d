"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const graph = byId("graph"), svg = graph.querySelector("svg"), search = byId("search"), found = byId("found");
const boxes = data.layers.map((layer, number) => document.getElementById("box" + number));
const size = svg.viewBox.baseVal;
let view = { x: 0, y: 0, scale: 1 }, chosen = null, tab = "bars", measure = data.flops === null ? "params" : "flops";

function made(tag, words, properties) {
  const element = document.createElement(tag);
  if (words !== undefined && words !== null) element.textContent = words;
  return Object.assign(element, properties || {});
}

function scaled(number, step, unit) {
  let power = 0;
  while (number >= step && power < 5) { number /= step; power += 1; }
  return (power ? number.toFixed(1) : number) + " " + ["", "K", "M", "G", "T", "P"][power] + unit;
}

const MEASURES = {
  params: ["parameters", (layer) => layer.params, (number) => number.toLocaleString("en")],
  flops: ["FLOPs", (layer) => layer.flops, (number) => scaled(number, 1000, "")],
  memory: ["memory", (layer) => layer.memory, (number) => scaled(number, 1024, "B")],
};

/* The graph: a transform moves and scales it as a whole, so that a thousand boxes are not laid out again. */

function look(x, y, scale) {
  view = { x, y, scale };
  svg.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
}

function whole() {
  return Math.min(graph.clientWidth / size.width, graph.clientHeight / size.height, 4 / 3);
}

function fit() {
  const scale = whole();
  look((graph.clientWidth - size.width * scale) / 2, (graph.clientHeight - size.height * scale) / 2, scale);
}

function begin() {
  const scale = Math.max(Math.min(graph.clientWidth / size.width, 4 / 3), 1 / 2);
  if (size.height * scale <= graph.clientHeight) return fit();
  look((graph.clientWidth - size.width * scale) / 2, 0, scale);
}

function zoom(factor, at) {
  const place = graph.getBoundingClientRect(), scale = Math.min(Math.max(view.scale * factor, whole() / 4), 12);
  const x = at ? at.clientX - place.left : place.width / 2, y = at ? at.clientY - place.top : place.height / 2;
  look(x - (x - view.x) * scale / view.scale, y - (y - view.y) * scale / view.scale, scale);
}

function center(number) {
  if (!boxes[number]) return;
  const place = graph.getBoundingClientRect(), box = boxes[number].getBoundingClientRect(), scale = Math.max(view.scale, 0.8);
  const x = (box.left + box.width / 2 - place.left - view.x) / view.scale;
  const y = (box.top + box.height / 2 - place.top - view.y) / view.scale;
  look(place.width / 2 - x * scale, place.height / 2 - y * scale, scale);
}

graph.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (event.shiftKey) return look(view.x - event.deltaY, view.y, view.scale);
  zoom(Math.exp(-event.deltaY * 0.0015), event);
}, { passive: false });

let grip = null, moved = false;
graph.addEventListener("pointerdown", (event) => {
  if (event.target.closest("#zoom")) return;
  grip = { x: event.clientX, y: event.clientY, view };
  moved = false;
});
window.addEventListener("pointermove", (event) => {
  if (!grip) return;
  const x = event.clientX - grip.x, y = event.clientY - grip.y;
  if (Math.abs(x) + Math.abs(y) > 3) { moved = true; graph.classList.add("moving"); }
  if (moved) look(grip.view.x + x, grip.view.y + y, grip.view.scale);
});
window.addEventListener("pointerup", () => { grip = null; graph.classList.remove("moving"); });
graph.addEventListener("click", (event) => {
  const box = event.target.closest('[id^="box"]');
  if (box && !moved) choose(Number(box.id.slice(3)), false);
});
byId("in").onclick = () => zoom(1.25);
byId("out").onclick = () => zoom(0.8);
byId("fit").onclick = fit;

/* Choosing a layer: its box, its bar and its line are marked, and its facts are told. */

function choose(number, moves) {
  chosen = number;
  boxes.forEach((box, other) => { if (box) box.classList.toggle("chosen", other === number); });
  if (moves) center(number);
  if (tab === "bars" && !moves) open("layer");
  tell();
  mark();
}

function rows(pairs) {
  const table = made("table");
  for (const [name, value] of pairs) {
    const row = table.insertRow();
    row.append(made("th", name), made("td", value));
  }
  return table;
}

function tell() {
  const tabs = byId("layer");
  if (chosen === null) return tabs.replaceChildren(made("p", "Click a layer, or search one.", { className: "note" }));
  const layer = data.layers[chosen], facts = [];
  if (layer.input) facts.push(["input", layer.input]);
  facts.push(["output", layer.output]);
  if (layer.calls > 1) facts.push(["calls", layer.calls]);
  facts.push(["parameters", layer.params.toLocaleString("en") + (layer.trained ? " (" + layer.trained + ")" : "")]);
  if (layer.flops !== null) facts.push(["FLOPs", layer.flops.toLocaleString("en")], ["memory", scaled(layer.memory, 1024, "B")]);
  const title = made("h2", layer.path);
  title.append(made("span", " " + layer.type, { className: "type" }));
  tabs.replaceChildren(title, rows(facts));
  if (layer.config.length) tabs.append(made("h3", "Config"), rows(layer.config));
  if (layer.weights.length) tabs.append(made("h3", "Weights"), weights(layer.weights));
  if (layer.lines.length) {
    const lines = made("pre");
    for (const [code, line] of layer.lines) lines.append(made("button", data.codes[code].lines[line].trim(), { onclick: () => open("code") }));
    tabs.append(made("h3", "Code"), lines);
  }
}

function weights(all) {
  const table = made("table"), head = table.insertRow(), names = ["", "mean", "std", "min", "max"];
  names.forEach((name, at) => head.append(made("th", name, { className: at ? "number" : "" })));
  for (const weight of all) {
    const row = table.insertRow(), cell = row.insertCell();
    cell.append(made("div", weight.name), made("div", weight.about, { className: "type" }));
    for (const number of weight.numbers) row.append(made("td", number, { className: "number" }));
  }
  return table;
}

function mark() {
  for (const each of document.querySelectorAll(".bar, pre button[data-layer]"))
    each.classList.toggle("chosen", Number(each.dataset.layer) === chosen && chosen !== null);
  const first = document.querySelector("#" + tab + " .chosen");
  if (first && tab !== "layer") first.scrollIntoView({ block: "center" });
}

/* The other tabs: bars by layer, and the code of the forward. */

function bars() {
  const names = made("nav"), [, value, written] = MEASURES[measure];
  for (const key of Object.keys(MEASURES)) {
    if (key !== "params" && data.flops === null) continue;
    names.append(made("button", MEASURES[key][0], { className: key === measure ? "on" : "", onclick: () => { measure = key; bars(); mark(); } }));
  }
  const kept = data.layers.map((layer, number) => [number, value(layer)]).filter(([number, count]) => count > 0 && !data.layers[number].holds);
  const most = Math.max(...kept.map(([, count]) => count), 1), total = kept.reduce((sum, [, count]) => sum + count, 0);
  const list = document.createDocumentFragment();
  for (const [number, count] of kept) {
    const bar = made("button", null, { className: "bar", onclick: () => choose(number, true) }), words = made("span", null, { className: "words" });
    bar.dataset.layer = number;
    words.append(made("span", data.layers[number].path), made("span", written(count) + " (" + (100 * count / total).toFixed(1) + " %)"));
    const line = made("i");
    line.style.width = 100 * count / most + "%";
    bar.append(words, line);
    list.append(bar);
  }
  byId("bars").replaceChildren(names, made("p", data.note, { className: "note" }), list);
}

function code() {
  const every = document.createDocumentFragment();
  data.codes.forEach((code, at) => {
    if (data.codes.length > 1) every.append(made("h3", code.title));
    const pre = made("pre");
    code.lines.forEach((line, number) => {
      const layer = code.layers[number], button = made("button", line || " ", { disabled: layer === null });
      if (layer !== null) {
        button.dataset.layer = layer;
        button.onclick = () => choose(layer, true);
      }
      pre.append(button);
    });
    every.append(pre);
  });
  byId("code").replaceChildren(every);
}

const drawn = new Set();
function open(name) {
  tab = name;
  for (const button of document.querySelectorAll("aside > nav button")) button.classList.toggle("on", button.dataset.tab === name);
  for (const each of document.querySelectorAll(".tab")) each.hidden = each.id !== name;
  if (!drawn.has(name)) ({ layer: tell, bars, code })[name]();
  drawn.add(name);
  mark();
}
for (const button of document.querySelectorAll("aside > nav button")) button.onclick = () => open(button.dataset.tab);

/* The search: names and types that contain the words. */

let at = 0, matches = [];
function seek() {
  const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  matches = [];
  if (words.length) data.layers.forEach((layer, number) => {
    const text = (layer.path + " " + layer.type).toLowerCase();
    if (words.every((word) => text.includes(word))) matches.push(number);
  });
  const hits = new Set(matches);
  boxes.forEach((box, number) => { if (box && !data.layers[number].holds) box.classList.toggle("dim", words.length > 0 && !hits.has(number)); });
  at = 0;
  list(words.length > 0);
}

function list(shown) {
  found.hidden = !shown;
  const some = matches.slice(0, 50).map((number, place) => {
    const row = made("li", data.layers[number].path, { className: place === at ? "at" : "", onclick: () => take(number) });
    row.append(made("span", " " + data.layers[number].type, { className: "type" }));
    return row;
  });
  if (!matches.length) some.push(made("li", "no layer of this name or type", { className: "note" }));
  if (matches.length > 50) some.push(made("li", "and " + (matches.length - 50) + " more", { className: "note" }));
  found.replaceChildren(...some);
}

function take(number) {
  search.value = "";
  seek();
  search.blur();
  choose(number, true);
  if (tab === "bars") open("layer");
}

search.addEventListener("input", seek);
search.addEventListener("keydown", (event) => {
  const most = Math.min(matches.length, 50) - 1;
  if (event.key === "ArrowDown") at = Math.min(at + 1, most);
  else if (event.key === "ArrowUp") at = Math.max(at - 1, 0);
  else if (event.key === "Enter" && matches.length) return take(matches[at]);
  else if (event.key === "Escape") { search.value = ""; seek(); return search.blur(); }
  else return;
  event.preventDefault();
  list(true);
});
window.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); search.focus(); }
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
});

svg.style.width = size.width + "px";
svg.style.height = size.height + "px";
byId("totals").textContent = data.totals;
open("bars");
begin();
