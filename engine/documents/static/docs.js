/* The docs page: reads /openapi.json with the caller's credentials and shows it. No library, no network but this server. */
"use strict";
(() => {
  const METHODS = ["get", "post", "patch", "put", "delete"];
  const $ = (id) => document.getElementById(id);
  const store = window.sessionStorage;
  let spec = null;
  let calls = new Map(); // tag -> [{method, path, item, op}]

  /** Make an element. Text never becomes markup. */
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child != null));
    return element;
  }

  function deref(thing) {
    for (let i = 0; thing && thing.$ref && i < 20; i++) {
      thing = thing.$ref.slice(2).split("/").reduce((at, key) => at && at[key.replace(/~1/g, "/").replace(/~0/g, "~")], spec);
    }
    return thing || {};
  }
  const nameOf = (thing) => (thing && thing.$ref ? thing.$ref.split("/").pop() : "");

  function credentials() {
    const headers = {};
    const token = $("token").value.trim();
    if (token) {
      if ($("scheme").value === "key") headers["X-API-Key"] = token;
      else headers.Authorization = "Bearer " + token.replace(/^Bearer\s+/i, "");
    }
    if ($("account").value.trim()) headers["X-Account-Id"] = $("account").value.trim();
    return headers;
  }

  async function load() {
    $("main").replaceChildren(h("p", { class: "quiet" }, "Loading…"));
    try {
      const reply = await fetch("/openapi.json", { headers: credentials() });
      const body = await reply.json();
      if (!reply.ok) throw new Error(body.detail || reply.statusText);
      spec = body;
    } catch (error) {
      $("main").replaceChildren(h("h2", {}, "The document could not be read"), h("p", { class: "bad" }, String(error.message || error)),
        h("p", {}, "Give a valid token or API key above, or none, and load it again."));
      return;
    }
    calls = new Map();
    for (const [path, item] of Object.entries(spec.paths)) {
      for (const method of METHODS) {
        if (!item[method]) continue;
        const tag = (item[method].tags || ["other"])[0];
        if (!calls.has(tag)) calls.set(tag, []);
        calls.get(tag).push({ method, path, item, op: item[method] });
      }
    }
    $("title").textContent = document.title = spec.info.title;
    $("version").textContent = spec.info.version;
    listTypes();
    show();
  }

  function listTypes() {
    const wanted = $("find").value.trim().toLowerCase();
    const current = tagOfHash();
    const rows = [];
    for (const [tag, list] of calls) {
      if (wanted && !tag.includes(wanted) && !list.some((c) => (c.path + " " + c.op.operationId).toLowerCase().includes(wanted))) continue;
      rows.push(h("li", {}, h("a", { href: "#/" + encodeURIComponent(tag), "aria-current": tag === current ? "page" : null }, tag, h("span", {}, String(list.length)))));
    }
    $("types").replaceChildren(...(rows.length ? rows : [h("li", { class: "quiet" }, "Nothing of that name.")]));
  }

  const tagOfHash = () => decodeURIComponent((location.hash.split("/")[1] || ""));
  const callOfHash = () => decodeURIComponent((location.hash.split("/")[2] || ""));

  function show() {
    if (!spec) return;
    const tag = tagOfHash();
    document.querySelector("nav").classList.remove("open");
    $("menu").setAttribute("aria-expanded", "false");
    listTypes();
    const list = calls.get(tag);
    if (!list) {
      $("main").replaceChildren(h("h2", {}, spec.info.title), h("p", {}, spec.info.description || ""),
        h("p", {}, calls.size + " groups, " + [...calls.values()].reduce((sum, one) => sum + one.length, 0) + " calls. "),
        h("p", { class: "quiet" }, "Only what these credentials may use is shown. The document is at ", h("a", { href: "/openapi.json" }, "/openapi.json"), "."));
      return;
    }
    const about = (spec.tags || []).find((one) => one.name === tag) || {};
    const isNested = (one) => one.path.startsWith("/v3/crud/") && /\{(?!id\})/.test(one.path);
    const flat = list.filter((one) => !isNested(one));
    const nested = list.filter(isNested);
    const parts = [h("h2", {}, tag), h("p", { class: "quiet" }, about.description || "")];
    parts.push(...flat.map(drawCall));
    if (nested.length) {
      parts.push(h("h3", {}, "Nested under a parent"), h("p", { class: "quiet" }, "The same calls; every id of the path is checked, and a new object gets its parent from it."));
      parts.push(...nested.map(drawCall));
    }
    const models = modelsOf(tag, list);
    if (models.length) {
      parts.push(h("h3", {}, "Models"));
      parts.push(...models.map((name) => lazy(h("summary", {}, h("code", {}, name)), () => drawSchema({ $ref: "#/components/schemas/" + name }, 0), "call")));
    }
    $("main").replaceChildren(...parts);
    const target = document.getElementById("call-" + callOfHash());
    if (target) { target.open = true; target.scrollIntoView(); } else $("main").focus({ preventScroll: true });
  }

  /** Names of the models that the calls of a type send and answer. */
  function modelsOf(tag, list) {
    const found = new Set();
    const visit = (content) => { for (const media of Object.values(content || {})) if (nameOf(media.schema)) found.add(nameOf(media.schema)); };
    for (const { op } of list) {
      if (op.requestBody) visit(deref(op.requestBody).content);
      for (const [status, one] of Object.entries(op.responses)) if (status[0] === "2") visit(deref(one).content);
    }
    return [...found];
  }

  /** A details element whose inside is made when it is opened first. */
  function lazy(summary, make, kind, id) {
    const element = h("details", { class: kind || null, id: id || null }, summary);
    element.addEventListener("toggle", () => {
      if (element.open && element.children.length === 1) element.append(h("div", {}, make()));
    });
    return element;
  }

  function drawPath(path) {
    return h("span", { class: "path" }, path.split(/(\{[^}]*\})/).map((part) => (part[0] === "{" ? h("i", {}, part) : part)));
  }

  function drawCall(call) {
    const summary = h("summary", {}, h("span", { class: "method " + call.method }, call.method.toUpperCase()), drawPath(call.path), h("span", { class: "quiet" }, call.op.summary || ""));
    return lazy(summary, () => drawInside(call), "call", "call-" + call.op.operationId);
  }

  function drawInside({ method, path, item, op }) {
    const parameters = [...(item.parameters || []), ...(op.parameters || [])].map(deref);
    const body = op.requestBody ? deref(op.requestBody) : null;
    const fields = [];
    const rows = parameters.map((one) => {
      const schema = one.schema ? one.schema : (Object.values(one.content || {})[0] || {}).schema;
      const flat = deref(schema);
      const choices = flat.enum && flat.enum.length < 30 ? flat.enum : null;
      const input = choices ? h("select", { "aria-label": one.name }, h("option", { value: "" }, ""), choices.map((value) => h("option", {}, String(value))))
        : h("input", { "aria-label": one.name, placeholder: one.explode && flat.type === "object" ? "field=value&field.operator=value" : (flat.examples || [])[0] || "" });
      if (one.name === "X-Account-Id") input.value = $("account").value;
      fields.push({ one, input, isRaw: Boolean(one.explode) && flat.type === "object" });
      return h("tr", {}, h("th", {}, h("code", { class: one.required ? "need" : null }, one.name), h("div", { class: "quiet" }, one.in)),
        h("td", {}, one.description || "", h("div", {}, drawSchema(schema, 1))), h("td", {}, input));
    });
    const parts = [];
    if (op.description) parts.push(h("p", {}, op.description));
    if (rows.length) parts.push(h("h4", {}, "Parameters"), h("table", {}, h("tbody", {}, rows)));
    let text = null;
    if (body) {
      const schema = (Object.values(body.content)[0] || {}).schema;
      text = h("textarea", { "aria-label": "Body", spellcheck: "false" });
      text.value = Object.keys(body.content)[0].includes("json") ? JSON.stringify(sample(schema, 0), null, 2) : "";
      parts.push(h("h4", {}, "Body"), lazy(h("summary", {}, nameOf(schema) || "Schema"), () => drawSchema(schema, 0)), text);
    }
    const result = h("div", { "aria-live": "polite" });
    const send = h("button", { type: "button", onclick: () => run(method, path, fields, text, result) }, "Send");
    const copy = h("button", { type: "button", class: "plain", onclick: () => {
      const made = request(method, path, fields, text);
      result.replaceChildren(h("pre", {}, curl(made)));
    } }, "As curl");
    parts.push(h("div", { class: "row" }, send, copy, h("a", { href: "#/" + encodeURIComponent((op.tags || ["other"])[0]) + "/" + op.operationId }, op.operationId)), result);
    parts.push(h("h4", {}, "Replies"), Object.entries(op.responses).map(([status, one]) => drawReply(status, deref(one))));
    return parts;
  }

  function drawReply(status, one) {
    const title = h("summary", {}, h("b", { class: status[0] === "2" || status[0] === "3" ? "ok" : "bad" }, status), " ", one.description || "");
    const content = Object.entries(one.content || {});
    const headers = Object.keys(one.headers || {});
    return lazy(title, () => [
      headers.length ? h("p", { class: "quiet" }, "Headers: " + headers.join(", ")) : null,
      content.map(([type, media]) => [h("p", { class: "quiet" }, type), media.examples
        ? Object.values(media.examples).map((example) => h("pre", {}, JSON.stringify(example.value, null, 2))) : drawSchema(media.schema, 0)]),
    ].flat(3).filter(Boolean));
  }

  // ------------------------------------------------------------ schemas

  function typeText(schema) {
    const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type;
    const marks = [];
    for (const key of ["format", "minLength", "maxLength", "minimum", "maximum", "maxItems", "pattern"]) if (schema[key] != null) marks.push(key + " " + schema[key]);
    if (schema.default !== undefined) marks.push("default " + JSON.stringify(schema.default));
    return [type || (schema.enum ? "one of" : schema.anyOf || schema.oneOf ? "" : "any"), marks.length ? " (" + marks.join(", ") + ")" : ""].join("");
  }

  function drawSchema(schema, depth) {
    if (!schema) return "";
    const name = nameOf(schema);
    const flat = deref(schema);
    if (name && depth > 0) return lazy(h("summary", {}, name), () => drawSchema(flat, 0));
    const parts = [h("span", { class: "type" }, typeText(flat))];
    if (flat.readOnly) parts.push(h("span", { class: "quiet" }, " read only"));
    if (flat.writeOnly) parts.push(h("span", { class: "quiet" }, " write only"));
    if (flat.description && depth < 2) parts.push(h("div", { class: "quiet" }, flat.description));
    const choices = flat.enum || (flat.oneOf || []).filter((one) => "const" in one).map((one) => one.const);
    if (choices.length) parts.push(h("div", {}, choices.slice(0, 60).map((value) => [h("code", {}, JSON.stringify(value)), " "])));
    if (flat.properties) {
      const required = new Set(flat.required || []);
      parts.push(h("ul", { class: "schema" }, Object.entries(flat.properties).map(([key, inner]) =>
        h("li", {}, h("b", { class: required.has(key) ? "need" : null }, key), " ", drawSchema(inner, depth + 1)))));
    }
    if (flat.items) parts.push(h("ul", { class: "schema" }, h("li", {}, "each: ", drawSchema(flat.items, depth + 1))));
    for (const one of flat.anyOf || []) parts.push(h("ul", { class: "schema" }, h("li", {}, "or ", drawSchema(one, depth + 1))));
    if (flat.additionalProperties && flat.additionalProperties.$ref) parts.push(h("ul", { class: "schema" }, h("li", {}, "any key: ", drawSchema(flat.additionalProperties, depth + 1))));
    return h("span", {}, parts);
  }

  /** A value to begin with: what is demanded, and nothing else. */
  function sample(schema, depth) {
    const flat = deref(schema);
    if (flat.examples && flat.examples.length) return flat.examples[0];
    if (flat.default !== undefined) return flat.default;
    if (flat.enum) return flat.enum[0];
    if (flat.oneOf && flat.oneOf[0] && "const" in flat.oneOf[0]) return flat.oneOf[0].const;
    if (flat.anyOf) return sample(flat.anyOf[0], depth + 1);
    const type = Array.isArray(flat.type) ? flat.type[0] : flat.type;
    if (type === "object") {
      const made = {};
      if (depth < 4) for (const key of flat.required || []) if (flat.properties && flat.properties[key]) made[key] = sample(flat.properties[key], depth + 1);
      return made;
    }
    if (type === "array") return [];
    if (type === "boolean") return false;
    if (type === "integer" || type === "number") return Math.max(0, flat.minimum || 0);
    if (flat.format === "date") return new Date().toISOString().slice(0, 10);
    if (flat.format === "date-time") return new Date().toISOString().slice(0, 19) + "Z";
    return "";
  }

  // ------------------------------------------------------------ trying out

  function request(method, path, fields, text) {
    const headers = credentials();
    const query = [];
    for (const { one, input, isRaw } of fields) {
      const value = input.value.trim();
      if (value === "") continue;
      if (one.in === "path") path = path.replace("{" + one.name + "}", encodeURIComponent(value));
      else if (one.in === "header") headers[one.name] = value;
      else if (isRaw) query.push(value.replace(/^[?&]/, ""));
      else query.push(encodeURIComponent(one.name) + "=" + encodeURIComponent(value));
    }
    const made = { method: method.toUpperCase(), url: path + (query.length ? "?" + query.join("&") : ""), headers, body: undefined };
    if (text && text.value.trim()) { headers["Content-Type"] = "application/json"; made.body = text.value; }
    return made;
  }

  const quote = (value) => "'" + String(value).replace(/'/g, "'\\''") + "'";
  function curl({ method, url, headers, body }) {
    const lines = ["curl -X " + method + " " + quote(location.origin + url)];
    for (const [name, value] of Object.entries(headers)) lines.push("  -H " + quote(name + ": " + value));
    if (body) lines.push("  --data " + quote(body));
    return lines.join(" \\\n");
  }

  async function run(method, path, fields, text, result) {
    const missing = fields.find(({ one, input }) => one.required && !input.value.trim());
    if (missing) { missing.input.focus(); result.replaceChildren(h("p", { class: "bad" }, missing.one.name + " is needed.")); return; }
    const made = request(method, path, fields, text);
    const started = performance.now();
    result.replaceChildren(h("p", { class: "quiet" }, "…"));
    try {
      const reply = await fetch(made.url, made);
      const raw = await reply.text();
      let shown = raw;
      try { shown = JSON.stringify(JSON.parse(raw), null, 2); } catch { /* not JSON: as it is */ }
      const kept = ["etag", "location", "retry-after", "x-request-id", "server-timing"].filter((name) => reply.headers.get(name)).map((name) => name + ": " + reply.headers.get(name));
      result.replaceChildren(h("p", {}, h("b", { class: reply.ok ? "ok" : "bad" }, reply.status + " " + reply.statusText), h("span", { class: "quiet" }, "  " + Math.round(performance.now() - started) + " ms")),
        kept.length ? h("pre", {}, kept.join("\n")) : null || "", shown ? h("pre", {}, shown.length > 200000 ? shown.slice(0, 200000) + "\n…" : shown) : "");
    } catch (error) {
      result.replaceChildren(h("p", { class: "bad" }, "No reply: " + error.message));
    }
  }

  for (const id of ["token", "account", "scheme"]) if (store.getItem("aether." + id)) $(id).value = store.getItem("aether." + id);
  $("who").addEventListener("submit", (event) => {
    event.preventDefault();
    for (const id of ["token", "account", "scheme"]) store.setItem("aether." + id, $(id).value);
    load();
  });
  $("find").addEventListener("input", listTypes);
  $("menu").addEventListener("click", () => $("menu").setAttribute("aria-expanded", String(document.querySelector("nav").classList.toggle("open"))));
  window.addEventListener("hashchange", show);
  load();
})();
