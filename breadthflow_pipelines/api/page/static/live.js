// Keeps an open page as the store is: listens, fetches the page again when something happened, and puts in what changed.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  const hears = document.body.dataset.hears.split(" ");  // the kinds of events that change what this page shows
  const SOON = 600, SPREAD = 900;  // milliseconds in which events come together; not all windows ask at once
  const AGAIN = [1, 2, 5, 10, 20, 30];  // seconds until the next attempt, while cut off
  const GRACE = 6000;  // milliseconds: a stream ends now and then, and is there again at once
  let shown = Date.now();  // when what is on the page was known to be so
  let cut = null;  // since when nothing is heard
  let attempts = 0;
  let asked = 0;
  let stream = null;
  let waiting = null;
  let retry = null;
  let grace = null;
  let takeAway = null;

  function age() {
    const minutes = Math.floor((Date.now() - shown) / 60000);
    return minutes < 1 ? "less than a minute" : minutes === 1 ? "a minute" : minutes + " minutes";
  }

  const time = (moment) => new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  function set(element, said) {
    if (element.textContent !== said) element.textContent = said;
  }

  function say() {
    const place = at("live");
    place.hidden = false;
    place.className = "live " + (cut === null ? "on" : "off");
    set(at("live-state"), cut === null ? "Live" : "Cut off");
    set(at("live-age"), cut === null ? "as of " + time(shown) : "since " + time(cut));
    at("cut").hidden = cut === null;
    if (cut === null) return;
    set(at("cut-since"), "Cut off since " + time(cut) + "; it tries again by itself.");
    set(at("cut-age"), "What this page shows is " + age() + " old.");
  }

  function lost() {
    const since = Date.now();
    if (cut === null && grace === null) grace = setTimeout(() => { cut = since; say(); }, GRACE);
    if (retry !== null || (stream && stream.readyState === EventSource.CONNECTING)) return;
    retry = setTimeout(() => { retry = null; listen(); refresh(); }, 1000 * AGAIN[Math.min(attempts++, AGAIN.length - 1)]);
  }

  function heard() {
    clearTimeout(grace);
    grace = cut = null;
    attempts = 0;
    refresh();
  }

  function listen() {
    if (stream) stream.close();
    stream = new EventSource("/v1/events");
    stream.addEventListener("open", heard);
    stream.addEventListener("error", lost);
    for (const name of hears) stream.addEventListener(name, soon);
  }

  function soon() {
    if (waiting === null) waiting = setTimeout(() => { waiting = null; refresh(); }, SOON + SPREAD * Math.random());
  }

  async function refresh() {
    const mine = ++asked;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname === "/login") return location.assign(answer.url);
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;  // a later answer is on its way
      shown = Date.now();
      put(fresh);
      say();
    } catch {
      lost();
    }
  }

  // Put in what changed, and leave alone what somebody is typing in.
  function put(fresh) {
    document.title = fresh.title;
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.innerHTML === old.dataset.as || old.querySelector("input:focus, select:focus")) continue;
      old.dataset.as = now.innerHTML;
      if (now.innerHTML === old.innerHTML) continue;
      replace(old, now);
    }
    const charts = at("charts");
    const now = fresh.getElementById("charts");
    if (charts && now && now.dataset.key !== charts.dataset.key) {
      if (takeAway) takeAway();
      takeAway = null;
      charts.replaceWith(document.adoptNode(now));
      draw();
    }
  }

  function replace(old, now) {
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const same = focused && (focused.id ? "#" + CSS.escape(focused.id) : focused.getAttribute("href"));
    old.replaceChildren(...[...now.childNodes].map((node) => document.adoptNode(node)));
    old.querySelectorAll("details").forEach((each, i) => { each.open = open[i] || false; });
    if (!same) return;
    const again = same.startsWith("#") ? old.querySelector(same)
      : [...old.querySelectorAll("a")].find((each) => each.getAttribute("href") === same);
    if (again) again.focus({ preventScroll: true });
  }

  async function draw() {
    const charts = at("charts");
    if (!charts) return;
    const failed = at("failed");
    try {
      const answer = await fetch(charts.dataset.charts);
      if (!answer.ok) throw new Error("the server answers " + answer.status);
      takeAway = breadthflowCharts(await answer.json(), (id) => location.assign("/signals/" + encodeURIComponent(id)));
      failed.hidden = true;
      document.documentElement.dataset.drawn = "yes";
    } catch (error) {
      failed.hidden = false;
      failed.textContent = "The charts cannot be drawn: " + error.message + ". The figures below each are as they were.";
    }
  }

  // The API gives rows page by page, as CSV where that is what is accepted.
  async function exported(link) {
    const parts = [];
    let next = link.href;
    while (next) {
      const answer = await fetch(next, { headers: { Accept: "text/csv" } });
      if (!answer.ok) throw new Error("the server answers " + answer.status);
      const text = await answer.text();
      parts.push(parts.length ? text.slice(text.indexOf("\n") + 1) : text);
      const following = (answer.headers.get("Link") || "").match(/<([^>]+)>; *rel="next"/);
      next = following && new URL(following[1], location.href).href;
    }
    const file = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob(parts, { type: "text/csv" })), download: link.dataset.csv,
    });
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 10000);
  }

  document.addEventListener("click", (click) => {
    const link = click.target.closest("a[data-csv]");
    if (!link) return;
    click.preventDefault();
    const said = link.textContent;
    link.textContent = "exporting…";
    exported(link).then(() => said, (error) => said + " (failed: " + error.message + ")")
      .then((text) => { link.textContent = text; });
  });

  at("still").hidden = true;
  listen();
  setInterval(say, 15000);
  addEventListener("online", () => { if (cut !== null) listen(); });
  draw();
})();
