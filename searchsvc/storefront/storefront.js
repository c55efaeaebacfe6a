// The page's whole behaviour: search, explain, click, move a weight. Text from documents is only ever set as text.

const PAGE = 10;
const element = (id) => document.getElementById(id);
const state = { index: null, title: null, offset: 0, answer: null, wanted: 0 };

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { "X-Searchsvc-Actor": "storefront" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? `the service answered ${response.status}`);
  return answer;
}

function made(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function say(id, text, failed = false) {
  element(id).textContent = text;
  element(id).classList.toggle("failed", failed);
}

const shown = (number) => Number(number.toFixed(4)).toString();
const asText = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));

async function search(typing = false) {
  if (state.index === null) return; // typed before the page knew its index: choose() searches for it
  // Only the newest request may paint: an older answer that comes late is dropped.
  const mine = ++state.wanted;
  const request = { query: element("query").value, limit: PAGE, offset: state.offset, explain: true, typing, highlight: true };
  try {
    const answer = await call("POST", `/v1/indexes/${state.index}/search`, request);
    if (mine !== state.wanted) return;
    state.answer = answer;
    paint(answer);
    const place = new URL(location);
    place.searchParams.set("index", state.index);
    place.searchParams.set("q", request.query);
    history.replaceState(null, "", place);
  } catch (error) {
    if (mine === state.wanted) say("summary", error.message, true);
  }
}

async function suggest() {
  if (state.index === null) return;
  const typed = element("query").value;
  const { suggestions } = typed.trim() ? await call("GET", `/v1/indexes/${state.index}/suggest?q=${encodeURIComponent(typed)}`) : { suggestions: [] };
  if (typed === element("query").value) {
    element("suggestions").replaceChildren(...suggestions.map((one) => made("option", undefined, { value: one.text })));
  }
}

// Offsets count code points, JavaScript's strings count code units.
function marked(tag, text, highlight, attributes) {
  const node = made(tag, undefined, attributes);
  const points = Array.from(text);
  let at = 0;
  for (const [start, end] of highlight?.offsets ?? []) {
    node.append(points.slice(at, start).join(""), made("mark", points.slice(start, end).join("")));
    at = end;
  }
  node.append(points.slice(at).join(""));
  return node;
}

function paint(answer) {
  const degraded = answer.degraded.length ? `, without: ${answer.degraded.join(", ")}` : "";
  const instead = answer.did_you_mean ? `, searched for “${answer.did_you_mean}” too` : "";
  say("summary", `${answer.total.toLocaleString("en")} documents in ${answer.took_ms.toFixed(1)} ms, weights version ${answer.weights_version}${instead}${degraded}`);
  element("hits").replaceChildren(...answer.hits.map((hit) => card(hit)));
  element("previous").hidden = state.offset === 0;
  element("next").hidden = state.offset + PAGE >= Math.min(answer.total, 1000);
}

function card(hit) {
  const item = made("li", undefined, { "data-id": hit.id });
  const open = marked("button", asText(hit.document[state.title] ?? hit.id), hit.highlights?.[state.title], { class: "open", type: "button" });
  open.addEventListener("click", () => openDocument(hit));
  const text = Object.entries(hit.document)
    .filter(([name, value]) => name !== state.title && typeof value === "string" && /\s/.test(value))
    .map(([, value]) => value)[0] ?? "";
  const head = made("div");
  head.append(made("span", `${hit.rank}.`, { class: "rank" }), open);
  item.append(head, made("p", text.length > 240 ? `${text.slice(0, 240)}…` : text), why(hit));
  return item;
}

function why(hit) {
  const details = made("details");
  details.append(made("summary", `score ${shown(hit.score)}: why shown here`));
  const legs = [
    hit.explanation.keyword_rank ? `keyword rank ${hit.explanation.keyword_rank}` : "not found by keyword",
    hit.explanation.vector_rank ? `vector rank ${hit.explanation.vector_rank}` : "not among the nearest vectors",
  ];
  const table = made("table", undefined, { class: "why" });
  const names = made("tr");
  for (const name of ["feature", "value", "weight", "adds", ""]) names.append(made("th", name, { scope: "col" }));
  table.append(names);
  const parts = Object.entries(hit.explanation.features).filter(([, part]) => part.contribution !== 0);
  const largest = Math.max(...parts.map(([, part]) => Math.abs(part.contribution)), 1e-9);
  for (const [name, part] of parts.sort(([, a], [, b]) => b.contribution - a.contribution)) {
    const row = made("tr");
    row.append(made("td", name), made("td", shown(part.value)), made("td", shown(part.weight)), made("td", shown(part.contribution)));
    const cell = made("td");
    cell.append(made("meter", undefined, { value: Math.max(part.contribution, 0), max: largest, "aria-hidden": "true" }));
    row.append(cell);
    table.append(row);
  }
  details.append(made("p", legs.join(", ")), table);
  return details;
}

async function openDocument(hit) {
  element("document-title").textContent = hit.document[state.title] ?? hit.id;
  element("document-members").replaceChildren(
    ...Object.entries(hit.document).flatMap(([name, value]) => [made("dt", name), made("dd", asText(value))]),
  );
  element("document").showModal();
  const event = { type: "click", index: state.index, query_id: state.answer.query_id, document_id: hit.id, rank: hit.rank };
  try {
    await call("POST", "/v1/events", { events: [event] });
    say("said", `click on “${hit.document[state.title] ?? hit.id}” recorded`);
  } catch (error) {
    say("said", error.message, true);
  }
}

async function showWeights() {
  const info = await call("GET", `/v1/indexes/${state.index}/weights`);
  element("version").textContent = `version ${info.version}`;
  element("weights").replaceChildren(...Object.entries(info.weights).map(([name, value]) => slider(name, value)));
}

function slider(name, value) {
  const label = made("label");
  const output = made("output", shown(value));
  const input = made("input", undefined, {
    type: "range", min: Math.min(0, value), max: Math.max(5, 2 * value), step: "0.05", "aria-label": name, "data-weight": name,
  });
  input.value = value;
  input.addEventListener("input", () => { output.textContent = shown(Number(input.value)); });
  input.addEventListener("change", () => setWeight(name, Number(input.value)));
  label.append(made("span", name), output, input);
  return label;
}

async function setWeight(name, value) {
  const started = performance.now();
  try {
    const answer = await call("PUT", `/v1/indexes/${state.index}/weights`, { weights: { [name]: value }, reason: "moved in the storefront" });
    element("version").textContent = `version ${answer.version}`;
    await search();
    say("said", `${name} = ${shown(value)}, searched again after ${Math.round(performance.now() - started)} ms`);
  } catch (error) {
    say("said", error.message, true);
    await showWeights();
  }
}

async function choose(name) {
  const info = await call("GET", `/v1/indexes/${name}`);
  Object.assign(state, { index: name, title: info.settings.title, offset: 0 });
  await showWeights();
  await search();
}

function guarded(work) {
  return async (event) => {
    event?.preventDefault();
    try { await work(); } catch (error) { say("summary", error.message, true); }
  };
}

element("form").addEventListener("submit", guarded(async () => { state.offset = 0; await search(); }));
element("query").addEventListener("input", guarded(async () => { state.offset = 0; await Promise.all([search(true), suggest()]); }));
element("index").addEventListener("change", guarded(() => choose(element("index").value)));
element("previous").addEventListener("click", guarded(async () => { state.offset -= PAGE; await search(); scrollTo(0, 0); }));
element("next").addEventListener("click", guarded(async () => { state.offset += PAGE; await search(); scrollTo(0, 0); }));

await guarded(async () => {
  const { indexes } = await call("GET", "/v1/indexes");
  if (!indexes.length) {
    say("summary", "There is no index yet. Load one: searchsvc import shop products.jsonl");
    return;
  }
  element("index").replaceChildren(...indexes.map((index) => made("option", index.name, { value: index.name })));
  const place = new URL(location).searchParams;
  const first = indexes.some((index) => index.name === place.get("index")) ? place.get("index") : indexes[0].name;
  element("index").value = first;
  element("query").value ||= place.get("q") ?? "";
  await choose(first);
})();
