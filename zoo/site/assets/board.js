// Boards: search, filters, ranges, sorting, columns, ticks and how many rows are laid out. The whole view is kept in the
// address, so that a link restores it. Pages are complete without this script.
"use strict";

(() => {
  // Before the page is laid out: rows beyond the first ones are left to this script.
  document.documentElement.classList.add("script");
  // Laying out a row of twenty cells costs a browser about a millisecond: no click may cost a second.
  const MORE = 400;
  let boards = [];

  addEventListener("DOMContentLoaded", () => {
    boards = Array.from(document.querySelectorAll("[data-board]"), setUp);
    if (boards.length === 0) return;
    restore();
    addEventListener("hashchange", restore);
    addEventListener("click", (event) => closeMenus((menu) => !menu.contains(event.target)));
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      closeMenus((menu) => {
        if (menu.open) menu.querySelector("summary").focus();
        return true;
      });
    });
  });

  function closeMenus(which) {
    for (const menu of document.querySelectorAll(".menu[open]")) if (which(menu)) menu.open = false;
  }

  function setUp(board) {
    const find = (name) => board.querySelector(`[data-${name}]`);
    const all = (name) => Array.from(board.querySelectorAll(`[data-${name}]`));
    const table = board.querySelector("table");
    const [body, ...rest] = table.tBodies;
    const first = body.rows.length;
    const rows = Array.from(table.tBodies, (part) => Array.from(part.rows)).flat().map((element, place) => ({
      element, place, page: element.dataset.page, text: null, box: null,
      facets: element.dataset.facets === "" ? [] : element.dataset.facets.split(" ").map((place) => (place === "" ? -1 : Number(place))),
    }));
    for (const part of rest) part.remove();
    const columns = Array.from(table.querySelectorAll("th[data-column]"), (header, index) => ({
      header, index, key: header.dataset.column, kind: header.dataset.kind, group: header.dataset.group ?? "",
      perUnit: Number(header.dataset.perUnit ?? 1), optional: "optional" in header.dataset, values: null,
    }));
    const sheet = new CSSStyleSheet();
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    const view = {
      id: board.dataset.board, board, body, rows, columns, first, sheet,
      groups: Array.from(table.querySelectorAll(".groups [data-group]")), lead: table.querySelector(".groups td"),
      search: find("filter"), device: find("device"), announce: find("announce"), more: find("more"), reset: find("reset"),
      compare: find("compare"), active: find("active"),
      facets: all("facet"), least: all("min"), most: all("max"), choices: all("choose"),
      state: null, hidden: null, laidOut: null,
    };
    for (const column of columns) headingButton(view, column);
    const read = () => change(view, fromControls(view));
    for (const control of [view.search, ...view.least, ...view.most]) control.addEventListener("input", read);
    for (const control of [...view.facets, ...view.choices]) control.addEventListener("change", read);
    view.device?.addEventListener("change", read);
    view.more.addEventListener("click", () => change(view, { ...view.state, rows: view.body.rows.length + MORE }));
    view.reset.addEventListener("click", () => { change(view, plain(view)); view.search.focus(); });
    find("copy").addEventListener("click", () => copyLink(view));
    body.addEventListener("change", (event) => {
      const row = view.rows.find((item) => item.box === event.target);
      if (row === undefined) return;
      const others = view.state.picked.filter((page) => page !== row.page);
      show(view, { ...view.state, picked: row.box.checked ? [...others, row.page] : others });
      remember();
    });
    board.querySelector(".controls").hidden = false;
    return view;
  }

  function headingButton(view, column) {
    const button = document.createElement("button");
    button.type = "button";
    const label = column.header.querySelector(".column-label");
    button.append(...label.childNodes);
    label.append(button);
    button.addEventListener("click", () => {
      const now = column.header.ariaSort;
      const descending = now ? now === "ascending" : column.header.dataset.first === "descending";
      change(view, { ...view.state, sort: column.key, descending });
      announce(view, `Sorted by ${button.textContent}, ${descending ? "descending" : "ascending"}`);
    });
  }

  // The view of a board that nobody has touched.
  function plain(view) {
    return {
      sort: null, descending: false, search: "", device: "", facets: new Map(), least: new Map(), most: new Map(),
      hidden: new Set(view.columns.filter((column) => column.optional).map((column) => column.key)), picked: [], rows: view.first,
    };
  }

  function fromControls(view) {
    const filled = (controls, name) => new Map(controls.filter((item) => item.value.trim() !== "").map((item) => [item.dataset[name], item.value.trim()]));
    return {
      ...view.state,
      search: view.search.value,
      device: view.device?.value ?? "",
      facets: filled(view.facets, "facet"),
      least: filled(view.least, "min"),
      most: filled(view.most, "max"),
      hidden: new Set(view.choices.filter((item) => !item.checked).map((item) => item.dataset.choose)),
    };
  }

  function change(view, state) {
    show(view, state);
    announce(view, counted(view));
    remember();
  }

  function show(view, state) {
    view.state = state;
    const sorted = view.columns.find((column) => column.key === state.sort);
    if (sorted === undefined) Object.assign(state, { sort: null, descending: false });
    toControls(view, state);
    const kept = view.rows.filter(accepts(view, state));
    if (sorted !== undefined) kept.sort(comparison(view, sorted, state.descending));
    const byGroup = sorted === undefined || sorted.kind === "group";
    view.found = kept.length;
    layOut(view, kept.slice(0, state.rows), byGroup);
    for (const column of view.columns) {
      const own = sorted === undefined ? column.kind === "group" : column === sorted;
      if (own) column.header.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else column.header.removeAttribute("aria-sort");
    }
    showColumns(view, state);
    showPicked(view, state);
    const left = kept.length - view.body.rows.length;
    view.more.hidden = left === 0;
    view.more.textContent = left > MORE ? `Show ${MORE} more rows` : `Show the last ${left} rows`;
    const filters = state.facets.size + new Set([...state.least.keys(), ...state.most.keys()]).size;
    view.active.textContent = filters === 0 ? "" : ` (${filters})`;
    view.reset.hidden = described(view).length === 0;
  }

  function toControls(view, state) {
    const set = (control, value) => { if (control.value !== value) control.value = value; };
    if (view.search.value.trim() !== state.search.trim()) view.search.value = state.search;
    if (view.device !== null) {
      set(view.device, state.device);
      if (view.device.selectedIndex < 0) { view.device.value = ""; state.device = ""; }
    }
    for (const control of view.facets) {
      set(control, state.facets.get(control.dataset.facet) ?? "");
      if (control.selectedIndex < 0) { control.value = ""; state.facets.delete(control.dataset.facet); }
    }
    for (const control of view.least) bound(control, state.least.get(control.dataset.min) ?? "");
    for (const control of view.most) bound(control, state.most.get(control.dataset.max) ?? "");
    for (const control of view.choices) control.checked = !state.hidden.has(control.dataset.choose);
  }

  function bound(control, text) {
    if (control.value.trim() !== text) control.value = text;
    if (text !== "" && Number.isNaN(number(text))) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  // "7.5", "7,350,272", "7.35M".
  function number(text) {
    const match = /^([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*([kMG]?)$/i.exec(text);
    if (match === null) return NaN;
    return Number(match[1].replaceAll(",", "")) * { "": 1, k: 1e3, m: 1e6, g: 1e9 }[match[2].toLowerCase()];
  }

  function accepts(view, state) {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const facets = [];
    view.facets.forEach((control, place) => {
      if (state.facets.has(control.dataset.facet)) facets.push([place, control.selectedIndex - 1]);
    });
    const ranges = [];
    for (const column of view.columns) {
      const least = number(state.least.get(column.key) ?? ""), most = number(state.most.get(column.key) ?? "");
      if (Number.isNaN(least) && Number.isNaN(most)) continue;
      const low = Number.isNaN(least) ? -Infinity : least * column.perUnit;
      const high = Number.isNaN(most) ? Infinity : most * column.perUnit;
      ranges.push([values(view, column), low, high]);
    }
    return (row) =>
      facets.every(([place, wanted]) => row.facets[place] === wanted) &&
      ranges.every(([found, low, high]) => {
        const value = found[row.place];
        return value !== null && value >= low && value <= high;
      }) &&
      (words.length === 0 || words.every((word) => searched(view, row).includes(word)));
  }

  // Name, status with its reason, and the settings that the filters offer.
  function searched(view, row) {
    if (row.text === null) {
      const settings = view.facets.map((control, place) => (row.facets[place] >= 0 ? control.options[row.facets[place] + 1].value : ""));
      const cells = view.columns.filter((column) => ["model", "status", "text"].includes(column.kind))
        .map((column) => row.element.cells[column.index].textContent);
      row.text = [...cells, ...settings].join(" ").toLowerCase();
    }
    return row.text;
  }

  function values(view, column) {
    const text = ["model", "status", "text"].includes(column.kind);
    column.values ??= view.rows.map((row) => {
      const raw = row.element.cells[column.index].dataset.value;
      if (text || raw === undefined) return raw ?? null;
      const found = Number(raw);
      return Number.isNaN(found) ? null : found;
    });
    return column.values;
  }

  // Values that are missing come last, whichever way the column is sorted; equal ones keep the page's order.
  function comparison(view, column, descending) {
    const found = values(view, column);
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return (one, other) => {
      const a = found[one.place], b = found[other.place];
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    };
  }

  function layOut(view, rows, byGroup) {
    const same = view.laidOut?.length === rows.length && view.laidOut.every((row, place) => row === rows[place]);
    if (!same) {
      for (const row of rows) if (row.box === null) tickBox(row);
      view.body.replaceChildren(...rows.map((row) => row.element));
      view.laidOut = rows;
    }
    // A line under the leading group, where the order shows it as one block.
    let before = false;
    for (const row of rows) {
      row.leads ??= row.element.querySelector(".lead") !== null;
      row.element.classList.toggle("edge", byGroup && before && !row.leads);
      before = row.leads;
    }
  }

  function tickBox(row) {
    const cell = row.element.querySelector("th");
    row.box = document.createElement("input");
    row.box.type = "checkbox";
    row.box.className = "pick";
    row.box.setAttribute("aria-label", `Tick ${cell.querySelector("a").textContent} to compare`);
    cell.prepend(row.box);
  }

  function showColumns(view, state) {
    const gone = new Set();
    for (const column of view.columns) {
      if (column.kind !== "model" && (state.hidden.has(column.key) || (state.device !== "" && column.group !== "" && column.group !== state.device))) gone.add(column);
    }
    const key = [...gone].map((column) => column.index).join();
    if (view.hidden === key) return;
    view.hidden = key;
    const places = [...gone].map((column) => `#${view.id} > tbody > tr > :nth-child(${column.index + 1})`);
    view.sheet.replaceSync(places.length === 0 ? "" : `${places.join(", ")} { display: none; }`);
    for (const column of view.columns) column.header.hidden = gone.has(column);
    const left = (group) => view.columns.filter((column) => column.group === group && !gone.has(column)).length;
    for (const header of view.groups) {
      const span = left(header.dataset.group);
      header.hidden = span === 0;
      header.colSpan = Math.max(1, span);
    }
    if (view.lead !== null) view.lead.colSpan = left("");
  }

  function showPicked(view, state) {
    const known = new Map(view.rows.map((row) => [row.page, row]));
    state.picked = state.picked.filter((page) => known.has(page));
    const picked = new Set(state.picked);
    for (const row of view.laidOut) {
      row.box.checked = picked.has(row.page);
      row.element.classList.toggle("picked", row.box.checked);
    }
    const names = state.picked.map((page) => known.get(page).element.querySelector("th a").textContent);
    view.compare.replaceChildren();
    if (names.length === 2) {
      const link = document.createElement("a");
      const [a, b] = state.picked;
      link.href = `../compare.html#${new URLSearchParams({ a, b })}`;
      link.textContent = `Compare ${names[0]} with ${names[1]}`;
      view.compare.append(link);
    } else if (names.length === 1) {
      view.compare.append(`${names[0]} is ticked: tick one more to compare the two.`);
    } else if (names.length > 2) {
      view.compare.append(`${names.length} models are ticked: two can be compared.`);
    }
  }

  function counted(view) {
    const shown = view.body.rows.length, found = view.found, all = view.rows.length;
    const count = (value) => value.toLocaleString("en");
    const matching = found === all ? "" : `${count(found)} of ${count(all)} rows`;
    if (shown === found) return matching;
    return matching === "" ? `The first ${count(shown)} of ${count(all)} rows` : `${matching}, the first ${count(shown)} shown`;
  }

  function announce(view, text) { view.announce.textContent = text; }

  // What sets a view apart from the plain one, as pairs for the address:
  // sort=bleu dir=descending filter=rotary device=device-1 f.position=alibi min.bleu=20 hide=steps show=... pick=a.b rows=500
  function described(view) {
    const { state } = view, pairs = [];
    if (state.sort !== null) pairs.push(["sort", state.sort], ["dir", state.descending ? "descending" : "ascending"]);
    if (state.search.trim() !== "") pairs.push(["filter", state.search.trim()]);
    if (state.device !== "") pairs.push(["device", state.device]);
    for (const [key, value] of state.facets) pairs.push([`f.${key}`, value]);
    for (const [key, value] of state.least) pairs.push([`min.${key}`, value]);
    for (const [key, value] of state.most) pairs.push([`max.${key}`, value]);
    const named = (wanted) => view.columns.filter(wanted).map((column) => column.key).join(".");
    const hide = named((column) => !column.optional && state.hidden.has(column.key));
    const extra = named((column) => column.optional && !state.hidden.has(column.key));
    if (hide !== "") pairs.push(["hide", hide]);
    if (extra !== "") pairs.push(["show", extra]);
    if (state.picked.length > 0) pairs.push(["pick", state.picked.join(".")]);
    if (state.rows > view.first) pairs.push(["rows", String(state.rows)]);
    return pairs;
  }

  // Boards after the first prefix their keys with their id.
  function prefix(view) { return view === boards[0] ? "" : `${view.id}.`; }

  function remember() {
    const pairs = boards.flatMap((view) => described(view).map(([key, value]) => [prefix(view) + key, value]));
    history.replaceState(null, "", `#${new URLSearchParams(pairs)}`);
  }

  function restore() {
    const text = location.hash.slice(1);
    const kept = new URLSearchParams(text.includes("=") ? text : "");
    if (text !== "" && !text.includes("=") && boards[0].state !== null) return; // a plain anchor, not a view
    for (const view of boards) {
      const get = (key) => kept.get(prefix(view) + key) ?? "";
      const state = plain(view);
      const under = (start) => new Map([...kept].filter(([key]) => key.startsWith(prefix(view) + start)).map(([key, value]) => [key.slice((prefix(view) + start).length), value.trim()]).filter(([, value]) => value !== ""));
      const keys = new Set(view.columns.map((column) => column.key));
      const known = (map) => new Map([...map].filter(([key]) => keys.has(key)));
      const offered = new Set(view.facets.map((control) => control.dataset.facet));
      Object.assign(state, {
        sort: get("sort"), descending: get("dir") === "descending", search: get("filter"), device: get("device"),
        facets: new Map([...under("f.")].filter(([key]) => offered.has(key))), least: known(under("min.")), most: known(under("max.")),
        picked: [...new Set(get("pick").split(".").filter(Boolean))], rows: Math.max(view.first, Number.parseInt(get("rows"), 10) || 0),
      });
      for (const key of get("hide").split(".")) if (keys.has(key)) state.hidden.add(key);
      for (const key of get("show").split(".")) state.hidden.delete(key);
      show(view, state);
      announce(view, counted(view));
    }
  }

  async function copyLink(view) {
    remember();
    try {
      await navigator.clipboard.writeText(location.href);
    } catch {
      // Where pages may not write to the clipboard, the old way still may.
      const box = document.createElement("textarea");
      box.value = location.href;
      box.className = "unseen";
      view.board.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      if (!done) return announce(view, "The link could not be copied: it is this page's address");
    }
    announce(view, "The link to this view is copied");
  }
})();
