// Two models side by side. The data are scripts that call zooData; only names from the index are ever loaded, and
// everything from records enters the page as text.
"use strict";

const zooData = (() => {
  const { page, make, cell, isolated, option, side, signed, rounded } = zooParts;
  const arrived = new Map(), waiting = new Map(), models = new Map();
  let boards = [], known = new Set(), pair = null;

  // ---- loading -------------------------------------------------------------------------------------------------

  function receive(name, value) {
    arrived.set(name, value);
    if (name === "index") start(value);
  }

  function load(name) {
    if (!known.has(name)) return Promise.reject(new Error("not in the index"));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.addEventListener("load", () => (arrived.has(name) ? resolve(arrived.get(name)) : reject(new Error(name))));
        script.addEventListener("error", () => reject(new Error(name)));
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  }

  // ---- choosing ------------------------------------------------------------------------------------------------

  function start(index) {
    boards = index.map(([task, slug, entries]) => ({ task, slug, entries }));
    for (const board of boards) {
      for (const [slug, name, state, examples, file] of board.entries) {
        models.set(slug, { slug, name, state, examples, file, board });
        known.add(file);
        if (examples !== "") { known.add(`${slug}.outputs`); known.add(`${examples}.examples`); }
      }
    }
    const picker = page("[data-pick=board]");
    boards.forEach((board, place) => picker.append(option(String(place), board.task)));
    if (models.size < 2) { say("There are not two models to compare yet."); return; }
    page("[data-compare]").hidden = false;
    picker.addEventListener("change", () => { offer(boards[Number(picker.value)]); choose(); });
    for (const which of ["a", "b"]) page(`[data-pick=${which}]`).addEventListener("change", choose);
    page("[data-swap]").addEventListener("click", () => {
      const a = page("[data-pick=a]"), b = page("[data-pick=b]");
      [a.value, b.value] = [b.value, a.value];
      choose();
    });
    page("[data-compare]").addEventListener("submit", (event) => event.preventDefault());
    for (const control of document.querySelectorAll("[data-view]")) {
      control.addEventListener(control.type === "search" ? "input" : "change", () => { zooExamples.turnTo(0); zooExamples.list(); remember(); });
    }
    for (const button of document.querySelectorAll("[data-turn]")) {
      button.addEventListener("click", () => {
        zooExamples.turnTo(zooExamples.turned() + Number(button.dataset.turn));
        zooExamples.list();
        remember();
        page("[data-count]").scrollIntoView({ block: "nearest" });
      });
    }
    addEventListener("hashchange", restore);
    restore();
  }

  function offer(board) {
    page("[data-pick=board]").value = String(boards.indexOf(board));
    for (const which of ["a", "b"]) {
      page(`[data-pick=${which}]`).replaceChildren(
        ...board.entries.map(([slug, name, state]) => option(slug, state === "ok" ? name : `${name} (${state})`)),
      );
    }
    page("[data-pick=b]").selectedIndex = Math.min(1, board.entries.length - 1);
  }

  function choose() {
    zooExamples.turnTo(0);
    show().then(remember);
  }

  function say(text) { page("[data-status]").textContent = text; }

  // #a=SLUG&b=SLUG, then the view of the examples where it is not the plain one.
  function remember() {
    if (pair === null) return;
    const kept = new URLSearchParams({ a: pair.a.slug, b: pair.b.slug });
    for (const control of document.querySelectorAll("[data-view]")) {
      const plain = control.type === "search" ? "" : control.options[0]?.value ?? "";
      if (control.value !== plain) kept.set(control.dataset.view, control.value);
    }
    if (zooExamples.turned() > 0) kept.set("page", String(zooExamples.turned() + 1));
    history.replaceState(null, "", `#${kept}`);
  }

  function restore() {
    const text = location.hash.slice(1);
    if (text !== "" && !text.includes("=") && pair !== null) return; // a plain anchor
    const kept = new URLSearchParams(text);
    const a = models.get(kept.get("a")), b = models.get(kept.get("b"));
    const board = a?.board ?? b?.board ?? boards.find((item) => item.entries.length > 1) ?? boards[0];
    offer(board);
    const missing = ["a", "b"].filter((which) => kept.has(which) && models.get(kept.get(which))?.board !== board);
    if (a?.board === board) page("[data-pick=a]").value = a.slug;
    if (b?.board === board) page("[data-pick=b]").value = b.slug;
    else if (a !== undefined && page("[data-pick=b]").value === a.slug) page("[data-pick=b]").selectedIndex = 0;
    if (missing.length > 0) {
      pair = null;
      page("[data-result]").hidden = true;
      say("The address names a model that is not on this board; choose two models.");
      return;
    }
    show().then(() => {
      for (const control of document.querySelectorAll("[data-view]")) {
        const wanted = kept.get(control.dataset.view);
        if (control.dataset.view === "metric") control.selectedIndex = Math.min(Number(wanted ?? 0) || 0, control.options.length - 1);
        else control.value = wanted ?? (control.type === "search" ? "" : control.options[0].value);
        if (control.selectedIndex < 0 && control.options?.length > 0) control.selectedIndex = 0;
      }
      zooExamples.turnTo(Math.max(0, (Number(kept.get("page")) || 1) - 1));
      zooExamples.list();
    });
  }

  async function show() {
    const a = models.get(page("[data-pick=a]").value), b = models.get(page("[data-pick=b]").value);
    if (a === undefined || b === undefined) return;
    const mine = { a, b, rows: [] };
    pair = mine;
    say("Loading");
    try {
      const [left, right] = await Promise.all([a, b].map(async (item) => new Map(await load(item.file)).get(item.slug)));
      if (pair !== mine) return;
      summary(mine, left, right);
      page("[data-result]").hidden = false;
      say(a === b ? "The same model twice." : `${a.name} and ${b.name}, side by side.`);
      await examples(mine, left, right);
    } catch (error) {
      if (pair !== mine) return;
      page("[data-result]").hidden = true;
      say(`The file data/${error.message}.js of this site is missing.`);
    }
  }

  // ---- the tables ----------------------------------------------------------------------------------------------

  function head(table, first, last) {
    const row = make("tr");
    row.append(cell("th", "", first));
    for (const [letter, item] of [["A", pair.a], ["B", pair.b]]) {
      const link = document.createElement("a");
      link.href = `models/${item.slug}.html`;
      link.append(isolated(item.name));
      row.append(cell("th", last ? "number" : "", side(letter), " ", link));
    }
    if (last) row.append(cell("th", "number", last), cell("th", "", "Better"));
    for (const item of row.cells) item.scope = "col";
    const group = make("thead");
    group.append(row);
    table.replaceChildren(group);
  }

  function quantity(row) {
    if (row === undefined) return cell("td", "number muted", "\u2013");
    const element = cell("td", "number", isolated(row[4]));
    for (const line of row[5].split("\n").filter(Boolean)) element.append(cell("span", "detail", isolated(line)));
    return element;
  }

  function verdict(better, difference) {
    if (difference === null || better === "") return cell("td", "", "");
    if (difference === 0) return cell("td", "muted", "same");
    return cell("td", "", side((better === "higher") === (difference > 0) ? "B" : "A"));
  }

  function fill(table, first, last, left, right) {
    head(table, first, last);
    const body = make("tbody");
    const [ones, others] = [left, right].map((rows) => new Map(rows.map((row) => [row[0], row])));
    for (const key of new Set([...ones.keys(), ...others.keys()])) {
      const one = ones.get(key), other = others.get(key);
      const [, label, better] = one ?? other;
      const both = one !== undefined && other !== undefined && one[3] !== null && other[3] !== null;
      const difference = both ? other[3] - one[3] : null;
      const row = make("tr");
      const heading = cell("th", "", isolated(label));
      heading.scope = "row";
      let text = difference === null ? "\u2013" : rounded(difference, one[4]);
      // Measures vary by factors, scores by points; milliseconds are kept as seconds.
      if (difference !== null && first !== "Metric") text = one[3] > 0 ? `${signed((difference / one[3]) * 100)}%` : "\u2013";
      row.append(heading, quantity(one), quantity(other), cell("td", "number", text), verdict(better, difference));
      body.append(row);
    }
    table.append(body);
  }

  function summary(mine, left, right) {
    page("[data-other-data]").hidden = left.data === right.data;
    // Scores on other data share no row.
    const apart = (rows, data) => (left.data === right.data ? rows : rows.map((row) => [`${data} ${row[0]}`, ...row.slice(1)]));
    fill(page("[data-table=scores]"), "Metric", "B \u2212 A", apart(left.scores, left.data), apart(right.scores, right.data));
    page("[data-command]").textContent = `zoo bench compare ${left.argument} ${right.argument}`;

    const devices = page("[data-devices]");
    devices.replaceChildren();
    const block = (label, ones, others) => {
      const frame = make("div", undefined, "scroll"), table = make("table", undefined, "plain versus");
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", label);
      const heading = make("h3");
      heading.append(isolated(label));
      frame.append(table);
      devices.append(heading, frame);
      fill(table, "Measure", "B against A", ones, others);
    };
    const lefts = new Map(left.devices), rights = new Map(right.devices);
    block("Size and training", left.facts, right.facts);
    for (const label of [...lefts.keys()].filter((item) => rights.has(item))) block(label, lefts.get(label), rights.get(label));
    const single = [...[...lefts.keys()].filter((item) => !rights.has(item)), ...[...rights.keys()].filter((item) => !lefts.has(item))];
    if (single.length > 0) {
      const note = make("p", undefined, "muted");
      note.append("Measured for one of the two only, on ", ...single.flatMap((item, place) => [place > 0 ? "; " : "", isolated(item)]), ".");
      devices.append(note);
    }
    settings(left, right);
  }

  function settings(left, right) {
    const ones = new Map(left.spec), others = new Map(right.spec);
    const paths = [...new Set([...ones.keys(), ...others.keys()])].filter((path) => ones.get(path) !== others.get(path));
    const table = page("[data-table=spec]");
    head(table, "Setting", "");
    const body = make("tbody");
    for (const path of paths) {
      const row = make("tr"), heading = cell("th", "", make("code", path));
      heading.scope = "row";
      row.append(heading);
      for (const values of [ones, others]) {
        row.append(values.has(path) ? cell("td", "prose", cell("code", "", isolated(values.get(path)))) : cell("td", "muted", "not set"));
      }
      body.append(row);
    }
    table.append(body);
    page("[data-settings]").hidden = paths.length === 0;
    const same = ones.size === 0 || others.size === 0 ? "A control has no spec of its own." : `${[...ones.keys()].filter((path) => ones.get(path) === others.get(path)).length} settings are the same.`;
    page("[data-settings-note]").textContent = paths.length === 0 ? `Nothing but name, description and seed differs. ${same}` : same;
  }

  // ---- examples ------------------------------------------------------------------------------------------------

  async function examples(mine, left, right) {
    const note = page("[data-examples-note]"), area = page("[data-examples]");
    area.hidden = true;
    zooExamples.show(null);
    const why = [[mine.a, left], [mine.b, right]].filter(([item]) => item.examples === "").map(([item, facts]) => `${item.name}: ${facts.note}`);
    if (why.length > 0) { note.textContent = `No examples to compare. ${why.join(" ")}`; return; }
    note.textContent = "Loading the outputs";
    const [one, other, shared, otherShared] = await Promise.all([
      load(`${mine.a.slug}.outputs`), load(`${mine.b.slug}.outputs`),
      load(`${mine.a.examples}.examples`), load(`${mine.b.examples}.examples`),
    ]);
    if (pair !== mine) return;
    if (one.data !== other.data || one.split !== other.split) {
      note.textContent = "No examples to compare: the two models were scored on different data.";
      return;
    }
    const places = new Map(otherShared.ids.map((id, place) => [id, place]));
    mine.rows = shared.ids.flatMap((id, place) => {
      const there = shared === otherShared ? place : places.get(id);
      return there === undefined ? [] : [{ id, a: place, b: there, place }];
    });
    mine.languages = left.languages ?? ["", ""];
    mine.texts = {
      source: shared.sources ?? otherShared.sources, sourceAt: shared.sources ? "a" : "b",
      reference: shared.references ?? otherShared.references, referenceAt: shared.references ? "a" : "b",
      a: one.outputs, b: other.outputs,
    };
    const others = new Map(other.metrics.map((metric) => [metric[0], metric]));
    mine.metrics = one.metrics.filter((metric) => others.has(metric[0])).map((metric) => ({
      name: metric[1], unit: metric[2], direction: metric[3], signature: metric[4], a: metric[5], b: others.get(metric[0])[5],
    }));
    const chooser = page("[data-view=metric]");
    chooser.replaceChildren(...mine.metrics.map((metric, place) => option(String(place), `${metric.name} (${metric.unit})`)));
    chooser.closest("label").hidden = mine.metrics.length === 0;
    const most = Math.max(one.examples, other.examples);
    const parts = [`Outputs of ${one.record} (seed ${one.seed}) and ${other.record} (seed ${other.seed}), ${one.split} split.`];
    if (most > mine.rows.length) parts.push(`${mine.rows.length} of ${most} examples are on this page.`);
    if (one.outputs === null || other.outputs === null) parts.push("Scores alone were published for at least one of them, without its text.");
    note.textContent = parts.join(" ");
    area.hidden = false;
    zooExamples.show(mine);
    zooExamples.list();
  }

  return receive;
})();
