"use strict";
// Data from outside reaches the page by textContent and attribute values alone, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const records = data.records.map((row, number) => {
    const record = { number };
    data.columns.forEach((name, column) => { record[name] = row[column]; });
    record.ownThreshold = data.thresholds[record.threshold];
    return record;
  });
  const ofInterest = new Set(data.interest.map((name) => data.labels.indexOf(name)));

  // ---- numbers and words

  const count = (value) => value.toLocaleString("en");
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const confidence = (value) => value.toFixed(3);
  const moment = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  const decision = (record) => (record.isAccepted ? "accepted" : "refused");

  function seconds(value) {
    return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`;
  }

  /** Linear interpolation between the order statistics, as NumPy does it. */
  function quantile(sorted, share) {
    const place = (sorted.length - 1) * share, low = Math.floor(place);
    return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  }

  /** The 95 % score interval of a share (Wilson, 1927). */
  function wilson(hits, total) {
    const z = 1.959964, share = hits / total, scale = 1 + (z * z) / total;
    const centre = share + (z * z) / (2 * total);
    const reach = z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total));
    return [Math.max(0, (centre - reach) / scale), Math.min(1, (centre + reach) / scale)];
  }

  // ---- building elements

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function shape(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function drawing(place, height, description) {
    const width = Math.max(240, place.clientWidth);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
    place.replaceChildren(svg);
    return { svg, width, height };
  }

  function table(id, head, rows) {
    const cell = (kind) => (value) => element(kind, typeof value === "number" || /^[-–\d]/.test(value) ? { class: "number" } : {}, String(value));
    byId(id).replaceChildren(
      element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell("td"))))),
    );
  }

  function nothing(id, ...paragraphs) {
    byId(id).replaceChildren(...paragraphs.map((text) => element("p", { class: "hint" }, text)));
    byId(`${id}-table`).closest("details").hidden = true;
  }

  function something(id) {
    byId(`${id}-table`).closest("details").hidden = false;
    return byId(id);
  }

  /** Words under a chart, which break where the screen ends. */
  function caption(id, text) {
    byId(id).append(element("p", { class: "hint" }, text));
  }

  /** Round values that divide [low, high] into at most `most` parts. */
  function ticks(low, high, most, steps) {
    const span = high - low || 1;
    const step = steps.find((each) => span / each <= most) ?? steps.at(-1) * Math.ceil(span / most / steps.at(-1));
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(at || 0); // never -0
    return found;
  }
  const ROUND = [];
  for (let power = -4; power <= 9; power += 1) ROUND.push(10 ** power, 2 * 10 ** power, 5 * 10 ** power);
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const PERIODS = [SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR,
    3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];

  function tickTime(ms, span) {
    const text = new Date(ms).toISOString();
    if (span > 3 * DAY) return text.slice(5, 10);
    return span > 10 * MINUTE ? `${span > DAY ? `${text.slice(5, 10)} ` : ""}${text.slice(11, 16)}` : text.slice(11, 19);
  }

  // ---- filters

  function options(select, names) {
    select.replaceChildren(element("option", { value: "" }, "all"), ...names.map((name, number) => element("option", { value: number }, name)));
  }

  let shown = [];
  let whatIf = null;

  function filter() {
    const chosen = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
    const [series, label, wanted] = [chosen("series"), chosen("label"), chosen("decision")];
    const slider = byId("whatif");
    whatIf = slider.value === slider.min ? null : Number(slider.value);
    byId("whatif-value").textContent = whatIf === null ? "as it was" : confidence(whatIf);
    slider.setAttribute("aria-valuetext", byId("whatif-value").textContent);
    for (const record of records) {
      record.isAccepted = whatIf === null ? Boolean(record.accepted) : ofInterest.has(record.label) && record.confidence >= whatIf;
    }
    shown = records.filter((record) =>
      (series === null || record.series === series) && (label === null || record.label === label)
      && (wanted === null || Number(record.isAccepted) === wanted));
    byId("shown").textContent = `Showing ${count(shown.length)} of ${count(records.length)} records.`;
    render();
  }

  // ---- the parts

  function tiles() {
    const accepted = shown.filter((record) => record.isAccepted).length;
    const labelled = shown.filter((record) => record.truth !== null);
    const right = labelled.filter((record) => record.truth === record.label).length;
    const sure = shown.map((record) => record.confidence).sort((a, b) => a - b);
    const times = shown.map((record) => record.seconds).filter((value) => value !== null).sort((a, b) => a - b);
    const between = (hits, total) => (total ? wilson(hits, total).map(percent).join(" to ") : "");
    const unanswered = Object.entries(data.unanswered);
    const facts = [
      ["Records", count(shown.length), shown.length ? `${moment(shown[0].time)} to ${moment(shown.at(-1).time)} UTC` : ""],
      ["Accepted", shown.length ? percent(accepted / shown.length) : "–", `${count(accepted)}; 95 %: ${between(accepted, shown.length)}`],
      ["Refused", count(shown.length - accepted), whatIf === null ? "below their threshold, or of no class of interest" : `at ${confidence(whatIf)}`],
      ["Median confidence", sure.length ? confidence(quantile(sure, 0.5)) : "–", ""],
      ["Accuracy", labelled.length ? percent(right / labelled.length) : "–", labelled.length ? `of ${count(labelled.length)} labelled; 95 %: ${between(right, labelled.length)}` : "no labels yet"],
      ["Time, median", times.length ? seconds(quantile(times, 0.5)) : "–", times.length ? `95 %: below ${seconds(quantile(times, 0.95))}` : "not in captured data; the ledger knows"],
      ["Without an answer", count(unanswered.reduce((sum, [, value]) => sum + value, 0)), unanswered.map(([status, value]) => `${count(value)} ${status.toLowerCase()}`).join(", ")],
      ["Broken lines", count(data.broken.count), data.duplicates ? `and ${count(data.duplicates)} duplicates left out` : ""],
    ];
    byId("tiles").replaceChildren(...facts.map(([name, value, more]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, more)))));
  }

  const frame = { left: 44, right: 10, top: 8, bottom: 26 };
  let plotted = null;

  function overTime() {
    const canvas = byId("time"), scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    const first = shown.length ? shown[0].time : 0, last = shown.length ? shown.at(-1).time : 1;
    const lowest = shown.reduce((least, record) => Math.min(least, record.confidence), 0.9);
    const bottom = Math.floor(lowest * 10) / 10, span = Math.max(last - first, SECOND);
    const x = (time) => frame.left + 6 + ((time - first) / span) * (width - frame.left - frame.right - 12);
    const y = (value) => frame.top + ((1 - value) / (1 - bottom)) * (height - frame.top - frame.bottom);
    pen.strokeStyle = colour("rule");
    pen.fillStyle = colour("faint");
    pen.lineWidth = 1;
    for (const value of ticks(bottom, 1, 8, ROUND)) {
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(value.toFixed(2), frame.left - 6, y(value));
      pen.beginPath();
      pen.moveTo(frame.left, y(value));
      pen.lineTo(width - frame.right, y(value));
      pen.stroke();
    }
    for (const time of shown.length ? ticks(first, first + span, Math.max(2, width / 110), PERIODS) : []) {
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.fillText(tickTime(time, span), Math.min(Math.max(x(time), frame.left + 24), width - frame.right - 24), height - frame.bottom + 8);
    }
    points(pen, x, y, colour);
    thresholdLines(pen, x, y, colour, width, span);
    plotted = { x, y };
    ring();
    const refused = shown.filter((record) => !record.isAccepted).length;
    canvas.setAttribute("aria-label", `Confidence of ${count(shown.length)} records over time; ${count(refused)} are refused. The slider below goes through them one by one.`);
    timeTable(first, span);
  }

  function points(pen, x, y, colour) {
    const size = shown.length > 3000 ? 1.6 : shown.length > 500 ? 2.2 : 3.2;
    pen.fillStyle = colour("accepted");
    pen.globalAlpha = shown.length > 1000 ? 0.55 : 0.85;
    for (const record of shown) {
      if (!record.isAccepted) continue;
      pen.beginPath();
      pen.arc(x(record.time), y(record.confidence), size, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.strokeStyle = colour("refused");
    pen.lineWidth = size > 3 ? 2 : 1.4;
    pen.beginPath();
    for (const record of shown) {
      if (record.isAccepted) continue;
      const [px, py, arm] = [x(record.time), y(record.confidence), size + 0.8];
      pen.moveTo(px - arm, py - arm);
      pen.lineTo(px + arm, py + arm);
      pen.moveTo(px - arm, py + arm);
      pen.lineTo(px + arm, py - arm);
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  /** One line for each threshold, from its first record to its last. */
  function thresholdLines(pen, x, y, colour, width, span) {
    const used = new Map();
    for (const record of shown) {
      const value = whatIf ?? record.ownThreshold;
      const since = used.get(value);
      used.set(value, since ? [since[0], record.time] : [record.time, record.time]);
    }
    pen.strokeStyle = pen.fillStyle = colour("line");
    pen.lineWidth = 1.5;
    pen.setLineDash([6, 4]);
    for (const [value, [from, until]] of used) {
      const whole = used.size === 1 || until - from < span / 50;
      pen.beginPath();
      pen.moveTo(whole ? frame.left : x(from), y(value));
      pen.lineTo(whole ? width - frame.right : x(until), y(value));
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  function timeTable(first, span) {
    const period = PERIODS.find((each) => span / each <= 40) ?? Math.ceil(span / 40 / DAY) * DAY;
    const buckets = new Map();
    for (const record of shown) {
      const at = Math.floor(record.time / period) * period;
      if (!buckets.has(at)) buckets.set(at, []);
      buckets.get(at).push(record);
    }
    table("time-table", ["From (UTC)", "Records", "Accepted", "Refused", "Median confidence"], [...buckets].map(([at, members]) => {
      const accepted = members.filter((record) => record.isAccepted).length;
      const sorted = members.map((record) => record.confidence).sort((a, b) => a - b);
      return [moment(at), count(members.length), count(accepted), count(members.length - accepted), confidence(quantile(sorted, 0.5))];
    }));
  }

  function describe(record) {
    const truth = record.truth === null ? "" : `, in truth ${data.labels[record.truth]}`;
    const time = record.seconds === null ? "" : `, after ${seconds(record.seconds)}`;
    return `${moment(record.time)} UTC: ${data.labels[record.label]} ${confidence(record.confidence)}, ${decision(record)} at ${confidence(whatIf ?? record.ownThreshold)}${truth}${time}. ${data.pictures[record.picture]}`;
  }

  function ring() {
    const mark = byId("scrub"), record = shown[Number(mark.value)];
    if (!record || !plotted) return;
    const pen = byId("time").getContext("2d");
    pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--focus").trim();
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(plotted.x(record.time), plotted.y(record.confidence), 8, 0, 2 * Math.PI);
    pen.stroke();
    byId("record").textContent = describe(record);
    mark.setAttribute("aria-valuetext", describe(record));
  }

  function nearest(event) {
    if (!plotted) return;
    const box = byId("time").getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1, distance = Infinity;
    shown.forEach((record, number) => {
      const away = (plotted.x(record.time) - px) ** 2 + (plotted.y(record.confidence) - py) ** 2;
      if (away < distance) [best, distance] = [number, away];
    });
    if (best >= 0 && distance < 900) {
      byId("scrub").value = best;
      overTime();
    }
  }

  function distribution() {
    if (!shown.length) return nothing("distribution", "No records.");
    const place = something("distribution"), bins = 35;
    const lowest = shown.reduce((least, record) => Math.min(least, record.confidence), 0.9);
    const from = Math.floor(lowest * 10) / 10, step = (1 - from) / bins;
    const parts = Array.from({ length: bins }, () => [0, 0]);
    for (const record of shown) parts[Math.min(bins - 1, Math.floor((record.confidence - from) / step))][record.isAccepted ? 0 : 1] += 1;
    const lines = whatIf === null ? new Set(shown.map((record) => record.ownThreshold)) : new Set([whatIf]);
    const chart = histogram(place, parts, from, 1, (value) => value.toFixed(2), "confidence", "Records by confidence: accepted at the foot, refused above.");
    for (const value of lines) chart.svg.append(shape("line", { class: "line", x1: chart.x(value), x2: chart.x(value), y1: chart.top, y2: chart.foot }));
    table("distribution-table", ["Confidence from", "to", "Accepted", "Refused"], parts.map(([accepted, refused], number) =>
      [confidence(from + number * step), confidence(from + (number + 1) * step), count(accepted), count(refused)]).filter((row) => row[2] !== "0" || row[3] !== "0"));
  }

  /** Stacked bars for parts of [first, last]: [accepted, refused] each. */
  function histogram(place, parts, first, last, text, unit, description) {
    const { svg, width, height } = drawing(place, 230, description);
    const top = 10, foot = height - 38, left = 46, right = width - 10;
    const most = Math.max(1, ...parts.map(([a, b]) => a + b));
    const x = (value) => left + ((value - first) / (last - first)) * (right - left);
    const y = (value) => foot - (value / most) * (foot - top);
    for (const value of ticks(0, most, 4, ROUND.filter((each) => each >= 1))) {
      svg.append(shape("line", { class: "rule", x1: left, x2: right, y1: y(value), y2: y(value) }));
      svg.append(shape("text", { class: "faint", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, count(value)));
    }
    const wide = (right - left) / parts.length;
    parts.forEach(([accepted, refused], number) => {
      const at = left + number * wide;
      if (accepted) svg.append(shape("rect", { class: "accepted", x: at, width: Math.max(1, wide - 1.5), y: y(accepted), height: foot - y(accepted) }));
      if (refused) svg.append(shape("rect", { class: "refused", x: at, width: Math.max(1, wide - 1.5), y: y(accepted + refused), height: y(accepted) - y(accepted + refused) }));
    });
    for (const value of ticks(first, last, Math.max(2, width / 90), ROUND)) {
      svg.append(shape("text", { class: "faint", x: Math.min(Math.max(x(value), left + 10), right - 12), y: foot + 16, "text-anchor": "middle" }, text(value)));
    }
    svg.append(shape("text", { class: "faint", x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, unit));
    return { svg, x, top, foot };
  }

  function classMix() {
    if (!shown.length) return nothing("classes", "No records.");
    const found = data.labels.map((name, number) => {
      const members = shown.filter((record) => record.label === number);
      return { name, total: members.length, accepted: members.filter((record) => record.isAccepted).length };
    });
    const allAccepted = found.reduce((sum, each) => sum + each.accepted, 0);
    const mix = data.baselines[0]?.classMix ?? {};
    const row = 52, { svg, width } = drawing(something("classes"), found.length * row, "Records by class: accepted first, then refused. A tick marks how many of the accepted the model's baseline expects.");
    const most = Math.max(1, ...found.map((each) => Math.max(each.total, (mix[each.name] ?? 0) * allAccepted)));
    const x = (value) => (value / most) * (width - 12);
    found.forEach((each, number) => {
      const y = number * row;
      svg.append(shape("text", { x: 0, y: y + 14 }, `${each.name}: ${count(each.accepted)} accepted, ${count(each.total - each.accepted)} refused`));
      if (each.accepted) svg.append(shape("rect", { class: "accepted", x: 0, y: y + 20, width: x(each.accepted), height: 18 }));
      if (each.total > each.accepted) svg.append(shape("rect", { class: "refused", x: x(each.accepted), y: y + 20, width: x(each.total) - x(each.accepted), height: 18 }));
      if (each.name in mix) svg.append(shape("line", { class: "baseline", x1: x(mix[each.name] * allAccepted), x2: x(mix[each.name] * allAccepted), y1: y + 17, y2: y + 41 }));
    });
    if (Object.keys(mix).length) caption("classes", `┃ accepted, if the mix were the baseline of ${data.baselines[0].model}`);
    table("classes-table", ["Class", "Records", "Accepted", "Refused", "Share of accepted", "Baseline"], found.map((each) =>
      [each.name, count(each.total), count(each.accepted), count(each.total - each.accepted), allAccepted ? percent(each.accepted / allAccepted) : "–", each.name in mix ? percent(mix[each.name]) : "–"]));
  }

  function calibration() {
    const labelled = shown.filter((record) => record.truth !== null).sort((a, b) => a.confidence - b.confidence);
    if (!labelled.length) {
      return nothing("calibration", "No labels yet, so nothing can be said about how right the model is.",
        "Fill in the column truth of the CSV beside this file and give it to scones report --labels.");
    }
    const bins = Math.min(10, labelled.length);
    // The first bins take what does not divide evenly, as numpy.array_split has it.
    const sizes = Array.from({ length: bins }, (_, number) => Math.floor(labelled.length / bins) + (number < labelled.length % bins ? 1 : 0));
    let start = 0, error = 0;
    const parts = sizes.map((size) => {
      const members = labelled.slice(start, start + size);
      start += size;
      const right = members.filter((record) => record.truth === record.label).length;
      const mean = members.reduce((sum, record) => sum + record.confidence, 0) / size;
      error += Math.abs(mean - right / size) * size;
      return { mean, size, right, share: right / size, interval: wilson(right, size) };
    });
    error /= labelled.length;
    const { svg, width, height } = drawing(something("calibration"), 260, `Accuracy against confidence in ${bins} groups of ${count(labelled.length)} labelled records; calibration error ${confidence(error)}.`);
    const left = 46, right = width - 14, top = 10, foot = height - 38;
    const least = Math.min(0.9, ...parts.map((part) => Math.floor(10 * part.mean) / 10));
    const x = (value) => left + ((value - least) / (1 - least)) * (right - left);
    const y = (value) => foot - value * (foot - top);
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(shape("line", { class: "rule", x1: left, x2: right, y1: y(value), y2: y(value) }));
      svg.append(shape("text", { class: "faint", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)));
    }
    for (const value of ticks(least, 1, 5, ROUND)) svg.append(shape("text", { class: "faint", x: x(value), y: foot + 16, "text-anchor": "middle" }, value.toFixed(2)));
    svg.append(shape("line", { class: "line", x1: x(least), y1: y(least), x2: x(1), y2: y(1) }));
    for (const part of parts) {
      svg.append(shape("line", { class: "accepted", x1: x(part.mean), x2: x(part.mean), y1: y(part.interval[0]), y2: y(part.interval[1]), "stroke-width": 2 }));
      svg.append(shape("circle", { class: "accepted", cx: x(part.mean), cy: y(part.share), r: 4.5 }));
    }
    svg.append(shape("text", { class: "faint", x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, `confidence; calibration error ${confidence(error)} on ${count(labelled.length)} labels`));
    table("calibration-table", ["Mean confidence", "Labelled", "Right", "Accuracy", "95 % interval"], parts.map((part) =>
      [confidence(part.mean), count(part.size), count(part.right), percent(part.share), part.interval.map(percent).join(" to ")]));
  }

  function latency() {
    const timed = shown.filter((record) => record.seconds !== null);
    if (!timed.length) return nothing("latency", "Captured data does not say how long a picture took; the ledger does. Run scones report with --ledger.");
    const times = timed.map((record) => record.seconds).sort((a, b) => a - b);
    const bins = 30, last = Math.max(quantile(times, 0.99) * 1.1, 0.01);
    const parts = Array.from({ length: bins }, () => [0, 0]);
    for (const record of timed) parts[Math.min(bins - 1, Math.floor((record.seconds / last) * bins))][record.isAccepted ? 0 : 1] += 1;
    const points = [50, 95, 99].map((each) => [each, quantile(times, each / 100)]);
    histogram(something("latency"), parts, 0, last, (value) => seconds(value), "time taken", "Records by the time that the workflow took: accepted at the foot, refused above.");
    caption("latency", `From the first state to the ledger, retries included; ${points.map(([each, value]) => `${each} %: ${seconds(value)}`).join(", ")}.`);
    table("latency-table", ["Share of the records", "done within"], [...points, [100, times.at(-1)]].map(([each, value]) => [`${each} %`, seconds(value)]));
  }

  function leastSure() {
    const inView = new Set(shown.map((record) => record.number));
    const cards = data.leastSure.filter((each) => inView.has(each.record))
      .sort((a, b) => records[a.record].confidence - records[b.record].confidence).slice(0, 24);
    byId("least").replaceChildren(...cards.map((each) => {
      const record = records[each.record], name = data.pictures[record.picture];
      const short = name.split("/").at(-1) || name, label = data.labels[record.label];
      const text = `${label} ${confidence(record.confidence)}, ${decision(record)} at ${confidence(whatIf ?? record.ownThreshold)}`;
      const picture = each.picture
        ? element("img", { src: `data:image/png;base64,${each.picture}`, alt: `${short}: ${text}` })
        : element("div", { class: "missing" }, "picture not captured");
      return element("li", {}, picture, element("div", { class: "name", title: name }, short), element("div", {}, text),
        ...each.probabilities.map(([kind, value]) => element("div", {},
          element("div", { class: "bar" }, element("span", {}, kind), element("span", {}, confidence(value))),
          element("progress", { max: 1, value, "aria-label": `${kind} ${confidence(value)}` }))),
        ...(record.truth === null ? [] : [element("div", {}, `in truth ${data.labels[record.truth]}`)]),
        element("div", { class: "hint" }, `${moment(record.time)} UTC`));
    }));
    if (!cards.length) byId("least").replaceChildren(element("li", {}, "No captured picture in this view."));
  }

  function broken() {
    const { count: total, lines } = data.broken;
    byId("broken-about").textContent = total
      ? `${count(total)} lines are not records of an inference and are left out of everything above.${total > lines.length ? ` The first ${lines.length}:` : ""}`
      : "Every line could be read.";
    if (total) table("broken", ["File", "Line", "Why"], lines.map(([place, line, why]) => [place, line || "–", why]));
  }

  // ---- putting it together

  let scheduled = 0;
  function render() {
    const scrub = byId("scrub");
    scrub.max = Math.max(0, shown.length - 1);
    byId("record").textContent = "";
    tiles();
    charts();
    leastSure();
  }
  function charts() {
    overTime();
    distribution();
    classMix();
    calibration();
    latency();
  }
  function redraw() {
    cancelAnimationFrame(scheduled);
    scheduled = requestAnimationFrame(charts);
  }

  document.title = data.title;
  byId("title").textContent = data.title;
  byId("about").textContent = data.made;
  options(byId("series"), data.series);
  options(byId("label"), data.labels);
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("scrub").addEventListener("input", overTime);
  byId("time").addEventListener("pointermove", nearest);
  byId("time").addEventListener("pointerdown", nearest);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (entry.contentRect.width !== width) redraw();
    width = entry.contentRect.width;
  }).observe(document.body);
  broken();
  filter();
})();
