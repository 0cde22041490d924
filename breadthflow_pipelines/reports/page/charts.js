// Draws charts of payload.py's data, keeps them on the same sessions, and lets keys do what a pointer does.
// Returns what takes them away again.
"use strict";

function breadthflowCharts(data, openEvidence) {
  const at = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const L = LightweightCharts;
  const times = data.days.map((day) => day * 86400);
  const index = new Map(times.map((time, i) => [time, i]));
  const last = times.length - 1;
  const drawn = [];
  let active = null;
  const gone = new AbortController();  // ends every listener
  const heard = { signal: gone.signal };

  const value = (column, i) => data.columns[column][1][i];
  const number = (value, decimals) =>
    value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const written = (column, i) =>
    value(column, i) === null ? "unknown" : number(value(column, i), data.columns[column][0]);
  const day = (i) => new Date(times[i] * 1000).toISOString().slice(0, 10);

  function look() {
    return {
      layout: {
        background: { color: colour("card") }, textColor: colour("text"), attributionLogo: false,
        fontFamily: getComputedStyle(document.body).fontFamily,
        panes: { separatorColor: colour("line"), enableResize: false },
      },
      grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      crosshair: {
        vertLine: { color: colour("muted"), labelBackgroundColor: colour("tag") },
        horzLine: { color: colour("muted"), labelBackgroundColor: colour("tag"), visible: false, labelVisible: false },
      },
    };
  }

  const behaviour = {
    autoSize: true,
    rightPriceScale: { borderVisible: false, minimumWidth: 56, scaleMargins: { top: 0.07, bottom: 0.07 } },
    timeScale: { borderVisible: false, minBarSpacing: 0.001, rightOffset: 2 },
    // The wheel and vertical swipes scroll the page, not the chart.
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
  };

  function styled(series) {
    const plain = { priceLineVisible: false, lastValueVisible: false, color: colour(series.colour) };
    const places = Math.max(0, series.decimals - 2);  // of the scale; the legend has all of them
    const format = { type: "price", precision: places, minMove: 10 ** -places };
    if (series.kind === "shade") return { ...plain, priceScaleId: "", color: colour("shade") };
    const lineType = series.kind === "steps" ? L.LineType.WithSteps : L.LineType.Simple;
    return { ...plain, priceFormat: format, ...(series.kind === "bars" ? {} : { lineWidth: 2, lineType }) };
  }

  function points(series) {
    const sign = series.below ? -1 : 1;
    return times.map((time, i) => {
      const height = value(series.column, i);
      return height === null || (series.kind === "shade" && height === 0) ? { time } : { time, value: sign * height };
    });
  }

  function marks(spec) {
    return spec.marks.map((i) => {
      const event = data.events[i];
      const shape = { buy: "arrowUp", sell: "arrowDown", hold: "circle" }[event.action];
      const place = event.action === "sell" ? "aboveBar" : "belowBar";
      return { time: times[event.at], position: place, shape, color: colour(event.action), id: event.id, size: 1 };
    });
  }

  function draw(spec) {
    const chart = L.createChart(at("chart-" + spec.name), { ...behaviour, ...look() });
    const lines = spec.series.map((series) => {
      const kind = ["bars", "shade"].includes(series.kind) ? L.HistogramSeries : L.LineSeries;
      const line = chart.addSeries(kind, styled(series), series.pane);
      if (series.pane === 0 && spec.within && series.kind !== "shade") {
        const [low, high] = spec.within;
        line.applyOptions({ autoscaleInfoProvider: () => ({ priceRange: { minValue: low, maxValue: high } }) });
      }
      line.setData(points(series));
      if (series.kind === "shade") line.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
      return line;
    });
    const main = lines[spec.series.findIndex((series) => series.kind !== "shade")];
    if (spec.ratio) main.priceScale().applyOptions({ mode: L.PriceScaleMode.Logarithmic });
    const levels = spec.levels.map((price) =>
      main.createPriceLine({ price, color: colour("muted"), lineStyle: 2, lineWidth: 1, axisLabelVisible: false }));
    const marked = spec.marks.length ? L.createSeriesMarkers(main, marks(spec)) : null;
    mark(chart);
    const told = spec.series.filter((series) => series.kind !== "shade");
    const say = (i) => [day(i), told.map((series) => [series.colour, series.label, written(series.column, i)])];
    const recolour = () => {
      chart.applyOptions(look());
      lines.forEach((line, i) => line.applyOptions({ color: styled(spec.series[i]).color }));
      levels.forEach((level) => level.applyOptions({ color: colour("muted") }));
      if (marked) marked.setMarkers(marks(spec));
    };
    keep({ name: spec.name, chart, main, say, recolour, signals: spec.marks,
           value: (i) => value(told[0].column, i) });
  }

  // Invented prices say so in each picture, too: pictures are cut out and passed on.
  function mark(chart) {
    if (!data.synthetic) return;
    const lines = [{ text: "SYNTHETIC", color: colour("watermark"), fontSize: 34, fontStyle: "bold" }];
    L.createTextWatermark(chart.panes()[0], { horzAlign: "center", vertAlign: "center", lines });
  }

  function heatView(heat) {
    const blend = (low, high, share) => low.map((part, i) => Math.round(part + (high[i] - part) * share));
    const rgb = (name) => colour(name).match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
    let palette = [];
    const paint = () => {
      const [low, middle, high] = [rgb("low"), rgb("middle"), rgb("high")];
      palette = Array.from({ length: 101 }, (_, per) =>
        "rgb(" + (per < 50 ? blend(low, middle, per / 50) : blend(middle, high, (per - 50) / 50)).join(",") + ")");
    };
    paint();
    let shown = null;
    const renderer = {
      draw: (target) => target.useBitmapCoordinateSpace((space) => {
        if (!shown || !shown.visibleRange) return;
        const { context, bitmapSize, horizontalPixelRatio: ratio } = space;
        const height = bitmapSize.height / heat.rows.length;
        const width = Math.max(1, Math.ceil(shown.barSpacing * ratio));
        let before = -Infinity;
        for (let i = shown.visibleRange.from; i < shown.visibleRange.to; i++) {
          const x = Math.floor(shown.bars[i].x * ratio - width / 2);
          if (x <= before) continue;
          before = x;
          heat.values.forEach((values, row) => {
            const share = values[shown.bars[i].originalData.number];
            if (share === null) return;
            context.fillStyle = palette[share];
            context.fillRect(x, Math.round(row * height), width, Math.ceil(height) - 1);
          });
        }
      }),
    };
    return {
      paint,
      renderer: () => renderer,
      update: (bars) => { shown = bars; },
      priceValueBuilder: () => [0, 1],
      isWhitespace: (point) => point.number === undefined,
      defaultOptions: () => ({ ...L.customSeriesDefaultOptions }),
    };
  }

  function drawHeat(heat) {
    const place = at("chart-sectors");
    const chart = L.createChart(place, { ...behaviour, ...look(), rightPriceScale: { visible: false } });
    const view = heatView(heat);
    const series = chart.addCustomSeries(view, { priceLineVisible: false, lastValueVisible: false });
    series.setData(times.map((time, number) => ({ time, number })));
    series.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    const names = document.createElement("ol");
    names.className = "rows";
    for (const row of heat.rows) names.append(Object.assign(document.createElement("li"), { textContent: row }));
    place.append(names);
    mark(chart);
    const percent = (share) => (share === null ? "unknown" : share + " %");
    const say = (i) => [day(i), heat.rows.map((row, n) => [null, row, percent(heat.values[n][i])])];
    keep({ name: "sectors", chart, main: series, say, signals: [], value: () => 0.5,
           recolour: () => { view.paint(); chart.applyOptions(look()); } });
  }

  function keep(one) {
    drawn.push(one);
    const place = at("chart-" + one.name);
    one.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => follow(one, range));
    one.chart.subscribeCrosshairMove((moved) => {
      if (active === one) point(moved.time === undefined ? null : index.get(moved.time), one);
    });
    one.chart.subscribeClick((clicked) => {
      if (clicked.hoveredObjectId) openEvidence(clicked.hoveredObjectId);
    });
    for (const how of ["pointerenter", "pointerdown", "focus"]) place.addEventListener(how, () => { active = one; }, heard);
    place.addEventListener("pointerleave", () => { if (active === one) point(null, null); }, heard);
    place.addEventListener("keydown", (key) => { if (press(one, key)) key.preventDefault(); }, heard);
    legend(one, last);
  }

  function legend(one, i) {
    const place = at("legend-" + one.name);
    const [session, values] = one.say(i);
    place.replaceChildren(Object.assign(document.createElement("time"), { textContent: session }));
    for (const [name, label, value] of values) {
      const part = document.createElement("span");
      if (name) {
        const swatch = document.createElement("i");
        swatch.className = name;
        part.append(swatch);
      }
      part.append(label + " ", Object.assign(document.createElement("b"), { textContent: value }));
      place.append(part);
    }
  }

  // Show session i in every chart; null: the last one, without a crosshair. Where it came from draws its own.
  let pointed = last;
  function point(i, source) {
    const known = i !== null && i !== undefined;
    pointed = known ? i : last;
    for (const one of drawn) {
      legend(one, pointed);
      if (one === source) continue;
      if (known && one.value(i) !== null) one.chart.setCrosshairPosition(one.value(i), times[i], one.main);
      else one.chart.clearCrosshairPosition();
    }
  }

  let range = null;
  function follow(source, now) {
    if (!now || (range && Math.abs(now.from - range.from) < 0.01 && Math.abs(now.to - range.to) < 0.01)) return;
    if (source && source !== active) return;
    range = now;
    for (const one of drawn.filter((each) => each !== source)) {
      one.chart.timeScale().setVisibleLogicalRange(range);
      one.chart.clearCrosshairPosition();  // it would stay at its pixel
    }
  }

  function show(from, to) { follow(null, { from, to }); }

  function press(one, key) {
    active = one;
    const step = key.shiftKey ? 21 : 1;
    const to = { ArrowLeft: pointed - step, ArrowRight: pointed + step, Home: 0, End: last }[key.key];
    if (to !== undefined) {
      const i = Math.min(last, Math.max(0, to));
      if (i < range.from || i > range.to) {
        const half = (range.to - range.from) / 2;
        show(i - half, i + half);
      }
      point(i, null);
      const [session, values] = one.say(i);
      const here = one.signals.map((n) => data.events[n]).filter((event) => event.at === i).map((event) => event.rule);
      at("said").textContent = [session, ...values.map(([, label, value]) => label + " " + value), ...here].join("; ");
      return true;
    }
    if ("+=-".includes(key.key)) {
      const middle = (range.from + range.to) / 2;
      const half = ((range.to - range.from) / 2) * (key.key === "-" ? 1.5 : 1 / 1.5);
      show(middle - half, Math.min(middle + half, last + 3));
      return true;
    }
    const event = one.signals.map((n) => data.events[n]).find((each) => each.at === pointed);
    if (key.key === "Enter" && event) openEvidence(event.id);
    return key.key === "Enter";
  }

  for (const spec of data.charts) draw(spec);
  if (data.heat) drawHeat(data.heat);

  const buttons = [...document.querySelectorAll("[data-sessions]")];
  function choose(button) {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
    const sessions = Number(button.dataset.sessions) || times.length;
    show(Math.max(0, times.length - sessions) - 0.5, last + Math.max(2, sessions / 60));
  }
  for (const button of buttons) button.addEventListener("click", () => choose(button), heard);
  choose(buttons.find((button) => button.getAttribute("aria-pressed") === "true"));

  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", () => drawn.forEach((one) => one.recolour()), heard);
  return () => {
    gone.abort();
    for (const one of drawn) one.chart.remove();
  };
}
