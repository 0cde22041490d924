// Opens the evidence of signals, and lists all of them. All text is set as text, never as markup.
"use strict";

function breadthflowEvidence(data) {
  const at = (id) => document.getElementById(id);
  const events = new Map(data.events.map((event) => [event.id, event]));

  function made(tag, text, parent) {
    const element = document.createElement(tag);
    if (text !== null) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  function table(part) {
    const wide = made("div", null, at("evidence-body"));
    wide.className = "wide";
    const whole = made("table", null, wide);
    const head = made("tr", null, made("thead", null, whole));
    for (const column of part.columns) made("th", column, head).scope = "col";
    const body = made("tbody", null, whole);
    for (const row of part.rows) {
      const line = made("tr", null, body);
      for (const cell of row) made("td", cell, line);
    }
  }

  function open(id) {
    const event = events.get(id);
    if (!event) return;
    at("evidence-title").textContent = event.title;
    at("evidence-body").replaceChildren();
    let lines = null;
    for (const part of event.parts) {
      if (typeof part === "string") {
        lines = lines || made("dl", null, at("evidence-body"));
        const [, name, said] = part.match(/^(\S+) {2,}(.*)$/s) || [null, "", part];
        made("dt", name, lines);
        made("dd", said, lines);
      } else {
        lines = null;
        table(part);
      }
    }
    at("evidence").showModal();
  }

  function link(event, parent) {
    const anchor = made("a", "Why", parent);
    anchor.href = "#signal-" + event.id;
    anchor.setAttribute("aria-label", "Why " + event.rule + " on " + event.session);
  }

  const listed = data.events.filter((event) => !data.measures.includes(event.rule)).reverse();
  const step = 15;
  let shown = step;

  function list() {
    const rule = at("rule").value;
    const chosen = listed.filter((event) => !rule || event.rule === rule);
    at("signals").replaceChildren();
    for (const event of chosen.slice(0, shown)) {
      const row = made("tr", null, at("signals"));
      made("th", event.session, row).scope = "row";
      made("td", event.rule, row);
      made("td", event.action, row).className = "action " + event.action;
      for (const name of ["value", "threshold"]) made("td", event[name], row);
      made("td", event.confidence + (event.calibrated ? "" : ", not calibrated"), row);
      made("td", event.state, row);
      link(event, made("td", null, row));
    }
    at("more").hidden = shown >= chosen.length;
    at("more").textContent = "Show more (" + Math.min(shown, chosen.length) + " of " + chosen.length + ")";
  }

  const counts = new Map();
  for (const event of listed) counts.set(event.rule, (counts.get(event.rule) || 0) + 1);
  at("rule").append(new Option("all of them: " + listed.length, ""));
  for (const name of [...counts.keys()].sort()) at("rule").append(new Option(name + ": " + counts.get(name), name));
  at("rule").addEventListener("change", () => { shown = step; list(); });
  at("more").addEventListener("click", () => { shown += 4 * step; list(); });
  list();

  document.addEventListener("click", (click) => {
    const anchor = click.target.closest && click.target.closest('a[href^="#signal-"]');
    if (!anchor) return;
    click.preventDefault();
    open(anchor.getAttribute("href").slice("#signal-".length));
  });
  open(location.hash.slice("#signal-".length));
  return open;
}
