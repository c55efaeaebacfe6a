// Search, explain, click, set a weight. Text from documents is only ever set as text, never as HTML.

const PAGE = 10;
const element = (id) => document.getElementById(id);
const state = { index: null, title: null, offset: 0, answer: null, requestNumber: 0 };

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

function createElement(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function showMessage(id, text, failed = false) {
  element(id).textContent = text;
  element(id).classList.toggle("failed", failed);
}

const formatNumber = (number) => Number(number.toFixed(4)).toString();
const asText = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));

async function search(typing = false) {
  if (state.index === null) return; // typed before the page knew its index: chooseIndex() searches for it
  // Only the answer to the newest request is shown: an older answer that comes late is dropped.
  const requestNumber = ++state.requestNumber;
  const request = { query: element("query").value, limit: PAGE, offset: state.offset, explain: true, typing, highlight: true };
  try {
    const answer = await call("POST", `/v1/indexes/${state.index}/search`, request);
    if (requestNumber !== state.requestNumber) return;
    state.answer = answer;
    showAnswer(answer);
    const place = new URL(location);
    place.searchParams.set("index", state.index);
    place.searchParams.set("q", request.query);
    history.replaceState(null, "", place);
  } catch (error) {
    if (requestNumber === state.requestNumber) showMessage("summary", error.message, true);
  }
}

async function suggest() {
  if (state.index === null) return;
  const typed = element("query").value;
  const { suggestions } = typed.trim() ? await call("GET", `/v1/indexes/${state.index}/suggest?q=${encodeURIComponent(typed)}`) : { suggestions: [] };
  if (typed === element("query").value) {
    element("suggestions").replaceChildren(...suggestions.map((suggestion) => createElement("option", undefined, { value: suggestion.text })));
  }
}

// Offsets count code points; JavaScript strings count code units.
function highlighted(tag, text, highlight, attributes) {
  const node = createElement(tag, undefined, attributes);
  const points = Array.from(text);
  let position = 0;
  for (const [start, end] of highlight?.offsets ?? []) {
    node.append(points.slice(position, start).join(""), createElement("mark", points.slice(start, end).join("")));
    position = end;
  }
  node.append(points.slice(position).join(""));
  return node;
}

function showAnswer(answer) {
  const degraded = answer.degraded.length ? `, without: ${answer.degraded.join(", ")}` : "";
  const correction = answer.did_you_mean ? `, also searched for “${answer.did_you_mean}”` : "";
  showMessage("summary", `${answer.total.toLocaleString("en")} documents in ${answer.took_ms.toFixed(1)} ms, weights version ${answer.weights_version}${correction}${degraded}`);
  element("hits").replaceChildren(...answer.hits.map((hit) => hitItem(hit)));
  element("previous").hidden = state.offset === 0;
  element("next").hidden = state.offset + PAGE >= Math.min(answer.total, 1000);
}

function hitItem(hit) {
  const item = createElement("li", undefined, { "data-id": hit.id });
  const open = highlighted("button", asText(hit.document[state.title] ?? hit.id), hit.highlights?.[state.title], { class: "open", type: "button" });
  open.addEventListener("click", () => openDocument(hit));
  const text = Object.entries(hit.document)
    .filter(([name, value]) => name !== state.title && typeof value === "string" && /\s/.test(value))
    .map(([, value]) => value)[0] ?? "";
  const head = createElement("div");
  head.append(createElement("span", `${hit.rank}.`, { class: "rank" }), open);
  item.append(head, createElement("p", text.length > 240 ? `${text.slice(0, 240)}…` : text), explanation(hit));
  return item;
}

function explanation(hit) {
  const details = createElement("details");
  details.append(createElement("summary", `score ${formatNumber(hit.score)}: why shown here`));
  const legs = [
    hit.explanation.keyword_rank ? `keyword rank ${hit.explanation.keyword_rank}` : "not found by keyword",
    hit.explanation.vector_rank ? `vector rank ${hit.explanation.vector_rank}` : "not among the nearest vectors",
  ];
  const table = createElement("table", undefined, { class: "why" });
  const names = createElement("tr");
  for (const name of ["feature", "value", "weight", "adds", ""]) names.append(createElement("th", name, { scope: "col" }));
  table.append(names);
  const parts = Object.entries(hit.explanation.features).filter(([, part]) => part.contribution !== 0);
  const largest = Math.max(...parts.map(([, part]) => Math.abs(part.contribution)), 1e-9);
  for (const [name, part] of parts.sort(([, a], [, b]) => b.contribution - a.contribution)) {
    const row = createElement("tr");
    row.append(createElement("td", name), createElement("td", formatNumber(part.value)), createElement("td", formatNumber(part.weight)), createElement("td", formatNumber(part.contribution)));
    const cell = createElement("td");
    cell.append(createElement("meter", undefined, { value: Math.max(part.contribution, 0), max: largest, "aria-hidden": "true" }));
    row.append(cell);
    table.append(row);
  }
  details.append(createElement("p", legs.join(", ")), table);
  return details;
}

async function openDocument(hit) {
  element("document-title").textContent = hit.document[state.title] ?? hit.id;
  element("document-members").replaceChildren(
    ...Object.entries(hit.document).flatMap(([name, value]) => [createElement("dt", name), createElement("dd", asText(value))]),
  );
  element("document").showModal();
  const event = { type: "click", index: state.index, query_id: state.answer.query_id, document_id: hit.id, rank: hit.rank };
  try {
    await call("POST", "/v1/events", { events: [event] });
    showMessage("message", `click on “${hit.document[state.title] ?? hit.id}” recorded`);
  } catch (error) {
    showMessage("message", error.message, true);
  }
}

async function showWeights() {
  const info = await call("GET", `/v1/indexes/${state.index}/weights`);
  element("version").textContent = `version ${info.version}`;
  element("weights").replaceChildren(...Object.entries(info.weights).map(([name, value]) => slider(name, value)));
}

function slider(name, value) {
  const label = createElement("label");
  const output = createElement("output", formatNumber(value));
  // A weight that takes away can be moved as far down as another can be moved up.
  const lowest = value < 0 ? -Math.max(5, -2 * value) : 0;
  const input = createElement("input", undefined, {
    type: "range", min: lowest, max: Math.max(5, 2 * value), step: "0.05", "aria-label": name, "data-weight": name,
  });
  input.value = value;
  input.addEventListener("input", () => { output.textContent = formatNumber(Number(input.value)); });
  input.addEventListener("change", () => setWeight(name, Number(input.value)));
  label.append(createElement("span", name), output, input);
  return label;
}

async function setWeight(name, value) {
  const started = performance.now();
  try {
    const answer = await call("PUT", `/v1/indexes/${state.index}/weights`, { weights: { [name]: value }, reason: "set in the storefront" });
    element("version").textContent = `version ${answer.version}`;
    await search();
    showMessage("message", `${name} = ${formatNumber(value)}, searched again after ${Math.round(performance.now() - started)} ms`);
  } catch (error) {
    showMessage("message", error.message, true);
    await showWeights();
  }
}

async function chooseIndex(name) {
  const info = await call("GET", `/v1/indexes/${name}`);
  Object.assign(state, { index: name, title: info.settings.title, offset: 0 });
  await showWeights();
  await search();
}

function reportingErrors(work) {
  return async (event) => {
    event?.preventDefault();
    try { await work(); } catch (error) { showMessage("summary", error.message, true); }
  };
}

element("form").addEventListener("submit", reportingErrors(async () => { state.offset = 0; await search(); }));
element("query").addEventListener("input", reportingErrors(async () => { state.offset = 0; await Promise.all([search(true), suggest()]); }));
element("index").addEventListener("change", reportingErrors(() => chooseIndex(element("index").value)));
element("previous").addEventListener("click", reportingErrors(async () => { state.offset -= PAGE; await search(); scrollTo(0, 0); }));
element("next").addEventListener("click", reportingErrors(async () => { state.offset += PAGE; await search(); scrollTo(0, 0); }));

await reportingErrors(async () => {
  const { indexes } = await call("GET", "/v1/indexes");
  if (!indexes.length) {
    showMessage("summary", "There is no index yet. Load one: searchsvc import shop products.jsonl");
    return;
  }
  element("index").replaceChildren(...indexes.map((index) => createElement("option", index.name, { value: index.name })));
  const place = new URL(location).searchParams;
  const first = indexes.some((index) => index.name === place.get("index")) ? place.get("index") : indexes[0].name;
  element("index").value = first;
  element("query").value ||= place.get("q") ?? "";
  await chooseIndex(first);
})();
