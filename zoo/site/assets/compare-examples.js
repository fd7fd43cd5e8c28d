// The examples of two models: sorted, filtered, searched, page by page, with what differs between the outputs marked.
"use strict";

const zooExamples = (() => {
  const { page, make, cell, isolated, side, signed } = zooParts;
  const perPage = 20;
  // rows: places of one example in both models' outputs; texts, metrics and languages of the two.
  let data = null, turn = 0;

  function show(found) { data = found; }

  function turnTo(wanted) { turn = wanted; }

  function turned() { return turn; }

  // [text, length in full] of one text, or null where it was not published.
  function text(column, place) {
    const value = column?.[place];
    if (value === undefined || value === null) return null;
    return typeof value === "string" ? [value, null] : value;
  }

  function judged() {
    const metric = data.metrics[page("[data-view=metric]").selectedIndex];
    for (const row of data.rows) {
      const one = metric?.a[row.a] ?? null, other = metric?.b[row.b] ?? null;
      row.scores = [one, other];
      row.difference = one === null || other === null ? null : other - one;
      row.gain = row.difference === null ? null : metric.direction === "higher" ? row.difference : -row.difference;
    }
    return metric;
  }

  function list() {
    if (data === null) return;
    const metric = judged();
    const order = page("[data-view=order]").value, wanted = page("[data-view=show]").value;
    const find = page("[data-view=find]").value.trim().toLowerCase();
    tally(metric);
    const rows = data.rows.filter((row) => shown(row, wanted) && (find === "" || haystack(row).includes(find)));
    const keys = { gains: (row) => -row.gain, losses: (row) => row.gain, differences: (row) => -Math.abs(row.gain) };
    if (keys[order] !== undefined) {
      const last = (row) => (row.gain === null ? 1 : 0);
      rows.sort((one, other) => last(one) - last(other) || (last(one) === 0 ? keys[order](one) - keys[order](other) : 0) || one.place - other.place);
    }
    const pages = Math.max(1, Math.ceil(rows.length / perPage));
    turn = Math.min(Math.max(0, turn), pages - 1);
    const first = turn * perPage;
    page("[data-list]").replaceChildren(...rows.slice(first, first + perPage).map((row) => article(row, metric)));
    const range = rows.length === 0 ? "No example" : `Examples ${first + 1} to ${Math.min(first + perPage, rows.length)} of ${rows.length}`;
    page("[data-count]").textContent = rows.length === data.rows.length ? range : `${range}; ${data.rows.length} in all`;
    page("[data-page]").textContent = `Page ${turn + 1} of ${pages}`;
    for (const button of document.querySelectorAll("[data-turn]")) {
      button.setAttribute("aria-disabled", String(turn + Number(button.dataset.turn) < 0 || turn + Number(button.dataset.turn) >= pages));
    }
  }

  function shown(row, wanted) {
    if (wanted === "a") return row.gain < 0;
    if (wanted === "b") return row.gain > 0;
    if (wanted === "same") return row.gain === 0;
    if (wanted === "changed") {
      const one = text(data.texts.a, row.a), other = text(data.texts.b, row.b);
      return one === null || other === null || one[0] !== other[0] || one[1] !== other[1];
    }
    return true;
  }

  function haystack(row) {
    if (row.haystack === undefined) {
      const parts = [
        text(data.texts.source, row[data.texts.sourceAt]), text(data.texts.reference, row[data.texts.referenceAt]),
        text(data.texts.a, row.a), text(data.texts.b, row.b),
      ];
      row.haystack = [row.id, ...parts.map((part) => part?.[0] ?? "")].join("\n").toLowerCase();
    }
    return row.haystack;
  }

  function tally(metric) {
    const area = page("[data-tally]");
    area.replaceChildren();
    if (metric === undefined) return;
    const count = (test) => data.rows.filter((row) => row.gain !== null && test(row.gain)).length;
    const [a, same, b] = [count((gain) => gain < 0), count((gain) => gain === 0), count((gain) => gain > 0)];
    const all = a + same + b;
    const bar = make("div", undefined, "outcome-bar");
    bar.setAttribute("aria-hidden", "true");
    for (const [kind, number] of [["a", a], ["same", same], ["b", b]]) {
      const part = make("span", undefined, `outcome-${kind}`);
      part.style.flexGrow = String(number);
      part.hidden = number === 0;
      bar.append(part);
    }
    const share = (number) => (all === 0 ? "" : ` (${Math.round((number / all) * 100)}%)`);
    const words = make("p");
    words.append(side("A"), ` better in ${a}${share(a)}, same score in ${same}${share(same)}, `, side("B"), ` better in ${b}${share(b)}`);
    if (all < data.rows.length) words.append(`; ${data.rows.length - all} without a score of their own`);
    words.append(" \u2013 by ", isolated(metric.name), ` of single examples, ${metric.direction} is better.`);
    area.append(bar, words);
  }

  function article(row, metric) {
    const element = make("article", undefined, "example"), heading = make("h3");
    heading.append(isolated(row.id));
    element.append(heading);
    if (metric !== undefined) {
      const [one, other] = row.scores;
      const line = make("p", undefined, "example-scores");
      const said = (value) => (value === null ? "no score" : String(Number(value.toPrecision(4))));
      line.append(side("A"), ` ${said(one)} `, side("B"), ` ${said(other)} `);
      if (row.gain !== null) {
        const kind = row.gain === 0 ? "same" : row.gain > 0 ? "b" : "a";
        line.append(make("span", row.gain === 0 ? "same" : `${signed(row.difference)}, ${row.gain > 0 ? "B" : "A"} better`, `gain gain-${kind}`));
      }
      element.append(line);
    }
    const facts = make("dl");
    const reference = text(data.texts.reference, row[data.texts.referenceAt]);
    const one = text(data.texts.a, row.a), other = text(data.texts.b, row.b);
    const [ones, others] = marked(one, other, reference);
    entry(facts, ["Source"], text(data.texts.source, row[data.texts.sourceAt]), undefined, "source");
    entry(facts, ["Reference"], reference);
    entry(facts, [side("A"), " output"], one, ones, "a");
    entry(facts, [side("B"), " output"], other, others, "b");
    element.append(facts);
    return element;
  }

  function marked(one, other, reference) {
    const how = page("[data-view=mark]").value;
    const split = how === "characters" ? zooDiff.characters : zooDiff.words;
    if (how === "none") return [];
    if (how === "reference") return [one, other].map((item) => (item && reference ? zooDiff.runs(item[0], reference[0], split)[0] : undefined));
    return one && other ? zooDiff.runs(one[0], other[0], split) : [];
  }

  function entry(facts, label, value, runs, which) {
    const group = make("div", undefined, which === "a" || which === "b" ? `output output-${which}` : ""), content = make("dd");
    content.dir = "auto";
    const language = data.languages[which === "source" ? 0 : 1];
    if (language !== "") content.lang = language;
    if (value === null) content.append(make("em", "not published"));
    else if (value[0] === "") content.append(make("em", "(empty)"));
    else if (runs === undefined) content.append(value[0]);
    else for (const [part, differs] of runs) content.append(differs ? make("mark", part) : part);
    if (value !== null && value[1] !== null) content.append(make("span", `… ${value[1]} characters in all`, "detail"));
    group.append(cell("dt", "", ...label), content);
    facts.append(group);
  }

  return { show, list, turnTo, turned };
})();
