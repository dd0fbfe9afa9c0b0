"use strict";
// Names become text nodes only. A node is [name, tier, group, rail, rack, ports, unit]; a cable is
// [a, its port, b, its port, rail, metres, medium, Gb/s] with numbers of nodes.
const data = JSON.parse(document.getElementById("data").textContent);
const { nodes, cables } = data;
const [NAME, TIER, GROUP, RAIL, RACK, PORTS, UNIT] = [0, 1, 2, 3, 4, 5, 6];
const [A, A_PORT, B, B_PORT, C_RAIL, METRES, MEDIUM, RATE] = [0, 1, 2, 3, 4, 5, 6, 7];
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1280, MARGIN = 74, ROWS = 200, LIT = 4000;
const $ = (id) => document.getElementById(id);
const color = (rail) => `var(--r${rail ? (rail - 1) % 8 + 1 : 0})`;
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function make(parent, tag, attributes = {}, text) {
  const element = parent.namespaceURI === SVG || tag === "svg" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

const cablesOf = nodes.map(() => []);
cables.forEach((cable, n) => { cablesOf[cable[A]].push(n); cablesOf[cable[B]].push(n); });
const end = (cable, side) => {
  const node = nodes[cable[side]], port = cable[side + 1];
  return `${node[NAME]}.${port}`;
};
const label = (cable) => `${end(cable, A)}/${end(cable, B)}`;

// --- the picture ---------------------------------------------------------------------------------------------

const pictures = []; // each: {svg, at: Map(node → {x, top, bottom}), boxes: Map(node → element), lit}

function picture(parent, height, title) {
  const svg = make(parent, "svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": title });
  const drawn = { svg, at: new Map(), boxes: new Map(), panels: make(svg, "g"), lines: make(svg, "g"), lit: make(svg, "g"), top: make(svg, "g") };
  pictures.push(drawn);
  return drawn;
}

function box(drawn, members, x, y, width, height, text, tier) {
  const group = make(drawn.top, "g", { class: `node ${tier}`, tabindex: 0, role: "button", "aria-label": text.long });
  make(group, "rect", { x: x - width / 2, y, width, height, rx: Math.min(4, width / 3) });
  if (text.turned) make(group, "text", { transform: `translate(${x + 3},${y + height + 5}) rotate(90)`, style: `text-anchor:start;font-size:${text.size}px` }, text.short);
  else if (text.short) make(group, "text", { x, y: y + height / 2 + 3.5, style: `font-size:${text.size || 10}px` }, text.short);
  for (const member of members) {
    drawn.at.set(member, { x, top: y, bottom: y + height });
    drawn.boxes.set(member, group);
  }
  group.members = members;
  group.text = text;
  return group;
}

const curve = (low, high) => {
  const middle = (low.top + high.bottom) / 2;
  return `M${low.x.toFixed(1)},${low.top}C${low.x.toFixed(1)},${middle} ${high.x.toFixed(1)},${middle} ${high.x.toFixed(1)},${high.bottom}`;
};

function strand(drawn, cable) { // a cable between two drawn nodes; at a host its rails leave side by side
  const low = drawn.at.get(cable[A]), high = drawn.at.get(cable[B]);
  if (!low || !high || low === high) return "";
  const rails = Math.max(1, data.rails), spread = low.spread || 0;
  const x = spread && cable[C_RAIL] ? low.x + spread * ((cable[C_RAIL] - .5) / rails - .5) : low.x;
  return curve({ ...low, x }, high);
}

function bases(drawn) { // all cables at rest: one path for each rail
  const paths = new Map();
  const seen = new Set();
  for (const cable of cables) {
    const path = strand(drawn, cable);
    if (!path || seen.has(path + cable[C_RAIL])) continue;
    seen.add(path + cable[C_RAIL]);
    paths.set(cable[C_RAIL], (paths.get(cable[C_RAIL]) || "") + path);
  }
  for (const [rail, path] of paths) make(drawn.lines, "path", { d: path, class: "base", stroke: color(rail) });
}

const numbers = (tier, keep = () => true) => nodes.map((_, n) => n).filter((n) => nodes[n][TIER] === tier && keep(nodes[n]));
const shortened = (name, room) => [name, name.replace(/^[a-z]+-/, ""), name.replace(/^.*-/, "")].find((text) => text.length * 5.4 <= room) || "";

function row(drawn, members, y, left, right, tier, most = 92) {
  const pitch = (right - left) / members.length, width = Math.min(most, pitch * .82);
  members.forEach((n, place) => {
    const name = nodes[n][NAME];
    box(drawn, [n], left + pitch * (place + .5), y, width, 24, { short: shortened(name, width - 2), long: name, size: 9 }, tier);
  });
}

function caption(drawn, y, text) { make(drawn.top, "text", { x: 4, y: y + 16, class: "tier" }, text); }

function detail(parent, units, title) { // every leaf and host of some units, with the switches above them
  const leaves = numbers("leaf", (node) => units.includes(node[GROUP]));
  const above = new Set(leaves.flatMap((n) => cablesOf[n].map((c) => cables[c][B])));
  const spines = numbers("spine").filter((n) => above.has(n));
  const higher = new Set(spines.flatMap((n) => cablesOf[n].map((c) => cables[c][B])));
  const cores = numbers("core").filter((n) => higher.has(n));
  let y = 14;
  const drawn = picture(parent, (cores.length ? 110 : 0) + 432, title);
  if (cores.length) {
    caption(drawn, y, "cores");
    row(drawn, cores, y, MARGIN, WIDTH - 8, "core");
    y += 110;
  }
  caption(drawn, y, "spines");
  row(drawn, spines, y, MARGIN, WIDTH - 8, "spine");
  y += 170;
  caption(drawn, y + 12, "leaves");
  caption(drawn, y + 144, "hosts");
  const hostsOf = (unit) => [...numbers("host", (n) => n[GROUP] === unit), ...numbers("manager", (n) => n[GROUP] === unit)];
  const sizes = units.map((unit) => Math.max(3, hostsOf(unit).length));
  const all = sizes.reduce((sum, size) => sum + size, 0), room = WIDTH - 8 - MARGIN - 12 * (units.length - 1);
  let left = MARGIN;
  units.forEach((unit, place) => {
    const width = room * sizes[place] / all, hosts = hostsOf(unit), pitch = (width - 12) / hosts.length;
    const mine = leaves.filter((n) => nodes[n][GROUP] === unit);
    make(drawn.panels, "rect", { x: left, y, width, height: 244, rx: 8, class: "panel" });
    make(drawn.panels, "text", { x: left + width / 2, y: y + 234, class: "head" }, `unit ${unit} · ${count(hosts.filter((n) => nodes[n][TIER] === "host").length, "host")}`);
    row(drawn, mine, y + 12, left + 6, left + width - 6, "leaf", 80);
    hosts.forEach((n, at) => {
      const thick = Math.min(22, pitch * .72), size = Math.min(10, pitch * .98);
      const drawnBox = box(drawn, [n], left + 6 + pitch * (at + .5), y + 148, thick, 20, { short: size >= 5.5 ? nodes[n][NAME] : "", long: nodes[n][NAME], turned: true, size }, nodes[n][TIER]);
      drawn.at.get(n).spread = thick * .8;
      drawnBox.dataset.host = nodes[n][NAME];
    });
    left += width + 12;
  });
  bases(drawn);
  return drawn;
}

function overview(parent) { // units, pods and the core as one box each
  const units = [...new Set(numbers("leaf").map((n) => nodes[n][GROUP]))];
  const pods = [...new Set(numbers("spine").map((n) => nodes[n][GROUP]))], cores = numbers("core");
  const perRow = Math.min(units.length, 22), rows = Math.ceil(units.length / perRow);
  const drawn = picture(parent, (cores.length ? 110 : 0) + 160 + rows * 48, `${data.title}, units closed`);
  let y = 14;
  if (cores.length) {
    caption(drawn, y, "cores");
    box(drawn, cores, (MARGIN + WIDTH) / 2, y, 180, 26, { short: count(cores.length, "core switch").replace("switchs", "switches"), long: "cores", size: 11 }, "core");
    y += 110;
  }
  caption(drawn, y, "spines");
  pods.forEach((pod, place) => {
    const spines = numbers("spine", (node) => node[GROUP] === pod), pitch = (WIDTH - 8 - MARGIN) / pods.length, width = Math.min(170, pitch * .86);
    const long = `${pod ? `pod ${pod}: ` : ""}${spines.length} spines`;
    box(drawn, spines, MARGIN + pitch * (place + .5), y, width, 26, { short: width > 100 ? long : width > 34 ? `pod ${pod}` : `${pod || ""}`, long, size: 10 }, "spine");
  });
  y += 130;
  caption(drawn, y, "units");
  units.forEach((unit, place) => {
    const members = nodes.map((_, n) => n).filter((n) => nodes[n][GROUP] === unit && ["leaf", "host", "manager"].includes(nodes[n][TIER]));
    const hosts = members.filter((n) => nodes[n][TIER] === "host").length, pitch = (WIDTH - 8 - MARGIN) / perRow;
    const group = box(drawn, members, MARGIN + pitch * (place % perRow + .5), y + Math.floor(place / perRow) * 48, pitch * .84, 30, { short: `${unit}`, long: `unit ${unit}: ${count(hosts, "host")} — click to open`, size: 12 }, "closed");
    group.dataset.unit = unit;
    group.open = () => openUnit(unit);
  });
  bases(drawn);
  return drawn;
}

function openUnit(unit) {
  const section = $("unit");
  section.replaceChildren();
  pictures.length = 1;
  make(section, "h2", {}, `Unit ${unit}`);
  detail(section, [unit], `unit ${unit}`);
  section.hidden = false;
  section.scrollIntoView({ block: "nearest" });
  light(shown);
}

// --- what is marked -----------------------------------------------------------------------------------------

let shown = { cables: null, here: new Set() }; // what the search or a click asks for; null is everything

function light({ cables: some, here }) {
  for (const drawn of pictures) {
    drawn.lit.replaceChildren();
    drawn.boxes.forEach((group) => group.classList.remove("near", "here"));
    drawn.svg.classList.toggle("busy", some !== null);
    if (some === null) continue;
    const paths = new Map();
    some.forEach((n, place) => {
      const cable = cables[n];
      for (const side of [A, B]) drawn.boxes.get(cable[side])?.classList.add("near");
      if (place < LIT) paths.set(cable[C_RAIL], (paths.get(cable[C_RAIL]) || "") + strand(drawn, cable));
    });
    for (const n of here) drawn.boxes.get(n)?.classList.add("near", "here");
    for (const [rail, path] of paths) if (path) make(drawn.lit, "path", { d: path, class: "lit", stroke: color(rail) });
  }
}

const ofMembers = (members) => {
  const inside = new Set(members), wanted = new Set();
  for (const n of members) for (const c of cablesOf[n]) if (members.length === 1 || inside.has(cables[c][A]) !== inside.has(cables[c][B])) wanted.add(c);
  return { cables: [...wanted], here: inside };
};

function tell(group, x, y) {
  const tip = $("tip"), { members } = group, { cables: mine } = ofMembers(members);
  tip.replaceChildren();
  make(tip, "b", {}, group.text.long);
  if (members.length === 1) {
    const node = nodes[members[0]], free = node[PORTS] - mine.length;
    make(tip, "span", {}, `rack ${node[RACK] || "?"}${node[UNIT] ? ` unit ${node[UNIT]}` : ""} · ${count(mine.length, "cable")}${free > 0 ? ` · ${count(free, "free port")}` : ""}`);
  } else make(tip, "span", {}, `${count(mine.length, "cable")} to other tiers`);
  tip.hidden = false;
  tip.style.left = `${Math.min(x + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
}

function listen(section) {
  const of = (event) => event.target.closest?.(".node");
  const leave = () => { $("tip").hidden = true; light(shown); };
  section.addEventListener("mouseover", (event) => { const group = of(event); if (group) { light(ofMembers(group.members)); tell(group, event.clientX, event.clientY); } });
  section.addEventListener("mouseout", (event) => { if (of(event)) leave(); });
  section.addEventListener("focusin", (event) => { const group = of(event); if (group?.matches(":focus-visible")) light(ofMembers(group.members)); });
  section.addEventListener("focusout", leave);
  const choose = (event) => {
    const group = of(event);
    if (!group) return;
    if (group.open) group.open();
    else if (group.members.length === 1) { $("search").value = nodes[group.members[0]][NAME]; search(); }
  };
  section.addEventListener("click", choose);
  section.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(event); } });
}

// --- search and table ---------------------------------------------------------------------------------------

let texts = null;
const text = (cable) => [label(cable), `${end(cable, B)}/${end(cable, A)}`, data.media[cable[MEDIUM]], `${cable[METRES]} m`, `${cable[RATE]}gb/s`,
  ...[A, B].flatMap((side) => [`rack ${nodes[cable[side]][RACK]}`, `<${nodes[cable[side]][NAME]}>port=${cable[side + 1]};`, nodes[cable[side]][TIER]])].join(" ").toLowerCase();

// `leaf-01-3 port 12` is that port of that switch; a whole name is that node alone; other words may stand anywhere.
function wanted(query) {
  const ports = [];
  const rest = query.toLowerCase().replace(/(?:(\S+)\s+)?port\s+(\S+)/g, (_, name, port) => { ports.push(name ? `<${name}>port=${port};` : `port=${port};`); return " "; });
  const names = new Set(nodes.map((node) => node[NAME].toLowerCase()));
  return [...ports, ...rest.split(/\s+/).filter(Boolean).map((word) => (names.has(word) ? `<${word}>` : word))];
}

let rows = [], visible = 0;

function search() {
  const words = wanted($("search").value);
  texts ??= cables.map(text);
  rows = [];
  for (let n = 0; n < cables.length; n++) if (words.every((word) => texts[n].includes(word))) rows.push(n);
  const named = words.filter((word) => word.startsWith("<")).map((word) => word.slice(1, word.indexOf(">")));
  const here = new Set(nodes.map((_, n) => n).filter((n) => named.includes(nodes[n][NAME].toLowerCase())));
  shown = words.length ? { cables: rows, here } : { cables: null, here: new Set() };
  $("count").textContent = words.length ? `${count(rows.length, "cable")} found` : count(cables.length, "cable");
  $("cables").tBodies[0].replaceChildren();
  visible = 0;
  more();
  light(shown);
}

function more() {
  const body = $("cables").tBodies[0];
  for (const n of rows.slice(visible, visible + ROWS)) {
    const cable = cables[n], line = make(body, "tr", { "data-cable": n });
    const first = make(line, "td", { class: "label" });
    make(first, "i", { style: `color:${color(cable[C_RAIL])}` });
    first.append(label(cable));
    for (const side of [A, B]) {
      make(line, "td", {}, nodes[cable[side]][RACK]);
      make(line, "td", {}, nodes[cable[side]][NAME]);
      make(line, "td", { class: "number" }, cable[side + 1]);
    }
    make(line, "td", { class: "number" }, `${cable[METRES]} m`);
    make(line, "td", {}, data.media[cable[MEDIUM]]);
    make(line, "td", { class: "number" }, cable[RATE]);
  }
  visible = Math.min(rows.length, visible + ROWS);
  $("more").hidden = visible >= rows.length;
  $("more").textContent = `Show more (${visible.toLocaleString("en")} of ${rows.length.toLocaleString("en")})`;
}

function heads(table, columns) {
  const line = make(table.tHead, "tr");
  for (const column of columns) make(line, "th", column.startsWith("#") ? { class: "number" } : {}, column.replace("#", ""));
}

// --- the page -----------------------------------------------------------------------------------------------

const hosts = numbers("host").length;
$("title").textContent = data.title;
$("subtitle").textContent = `${data.kind}, ${data.tiers} tiers, ${count(data.rails, "rail")}, ${data.blocking === 1 ? "non-blocking" : `${+data.blocking.toFixed(2)}:1 blocking`}`;
for (const [name, value] of [["hosts", hosts], ["leaves", numbers("leaf").length], ["spines", numbers("spine").length], ["cores", numbers("core").length], ["end ports", data.endPorts], ["cables", cables.length]]) {
  if (!value) continue;
  const figure = make($("figures"), "div");
  make(figure, "dt", {}, name);
  make(figure, "dd", {}, value.toLocaleString("en"));
}
for (const rail of [...new Set(cables.map((cable) => cable[C_RAIL]))].sort((a, b) => a - b).slice(0, 9)) {
  const part = make($("legend"), "span", { style: `color:${color(rail)}` });
  make(part, "i");
  make(part, "b", {}, rail ? `rail ${rail}` : "no rail");
}
for (const note of data.notes) make($("notes"), "p", {}, note);
heads($("bill"), ["#Count", "Medium", "#Length"]);
for (const [number, rate, medium, metres] of data.bill) {
  const line = make($("bill").tBodies[0], "tr");
  make(line, "td", { class: "number" }, number);
  make(line, "td", {}, `${medium} ${rate}G`);
  make(line, "td", { class: "number" }, `${metres} m`);
}
heads($("cables"), ["Label", "Rack", "From", "#Port", "Rack", "To", "#Port", "#Length", "Medium", "#Gb/s"]);
if (hosts > data.open) overview($("picture"));
else detail($("picture"), [...new Set(numbers("leaf").map((n) => nodes[n][GROUP]))], data.title);
listen($("picture"));
listen($("unit"));
$("search").addEventListener("input", search);
$("more").addEventListener("click", more);
$("cables").addEventListener("mouseover", (event) => { const line = event.target.closest("tbody tr"); if (line) light({ cables: [+line.dataset.cable], here: new Set() }); });
$("cables").addEventListener("mouseout", () => light(shown));
search();
document.documentElement.dataset.ready = "yes";
