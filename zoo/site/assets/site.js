// Sorting, filtering and choosing a device on boards, kept in the address so that a link restores the view.
// Pages are complete without this script.
"use strict";

(() => {
  const boards = Array.from(document.querySelectorAll("[data-board]"), setUp);

  function setUp(board) {
    const table = board.querySelector("table");
    const view = {
      id: board.dataset.board,
      body: table.tBodies[0],
      rows: Array.from(table.tBodies[0].rows),
      headers: Array.from(table.querySelectorAll("th[data-column]")),
      grouped: Array.from(table.querySelectorAll("[data-group]")),
      filter: board.querySelector("[data-filter]"),
      device: board.querySelector("[data-device]"),
      announce: board.querySelector("[data-announce]"),
      sort: null,
      descending: false,
    };
    for (const header of view.headers) {
      const button = document.createElement("button");
      button.type = "button";
      const label = header.querySelector(".column-label");
      button.append(...label.childNodes);
      label.append(button);
      button.addEventListener("click", () => {
        const same = header.ariaSort === "ascending" || header.ariaSort === "descending";
        const descending = same ? header.ariaSort === "ascending" : header.dataset.first === "descending";
        show(view, { ...state(view), sort: header.dataset.column, descending });
        announce(view, `Sorted by ${button.textContent}, ${descending ? "descending" : "ascending"}`);
        remember();
      });
    }
    view.filter.addEventListener("input", () => { show(view, state(view)); announce(view, counted(view)); remember(); });
    view.device?.addEventListener("change", () => { show(view, state(view)); remember(); });
    board.querySelector(".controls").hidden = false;
    return view;
  }

  function state(view) {
    return { sort: view.sort, descending: view.descending, filter: view.filter.value, device: view.device?.value ?? "" };
  }

  // Values that are missing come last, whichever way the column is sorted; equal ones keep the page's order.
  function comparison(index, header, descending) {
    const text = header.dataset.kind === "model" || header.dataset.kind === "status";
    const value = (row) => {
      const raw = row.cells[index].dataset.value;
      if (text) return raw ?? null;
      const number = raw === undefined ? NaN : Number(raw);
      return Number.isNaN(number) ? null : number;
    };
    const compare = text ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
    return (one, other) => {
      const a = value(one), b = value(other);
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    };
  }

  function show(view, wanted) {
    const index = view.headers.findIndex((header) => header.dataset.column === wanted.sort);
    view.sort = index < 0 ? null : wanted.sort;
    view.descending = index >= 0 && wanted.descending;
    const order = [...view.rows];
    if (index >= 0) order.sort(comparison(index, view.headers[index], view.descending));
    view.headers.forEach((header, place) => {
      const sorted = index < 0 ? header.dataset.kind === "rank" : place === index;
      if (sorted) header.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    view.body.append(...order);

    view.filter.value = wanted.filter;
    const words = wanted.filter.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of view.rows) {
      const text = Array.from(row.cells).slice(0, 3).map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }

    if (view.device) {
      view.device.value = wanted.device;
      if (view.device.selectedIndex < 0) view.device.value = "";
      for (const cell of view.grouped) {
        cell.hidden = view.device.value !== "" && cell.dataset.group !== view.device.value;
      }
    }
  }

  function counted(view) {
    const left = view.rows.filter((row) => !row.hidden).length;
    return left === view.rows.length ? "" : `${left} of ${view.rows.length} rows`;
  }

  function announce(view, text) { view.announce.textContent = text; }

  // #sort=bleu&dir=descending&filter=rotary&device=device-1; boards after the first prefix their keys with their id.
  function name(view, key) { return view === boards[0] ? key : `${view.id}.${key}`; }

  function remember() {
    const kept = new URLSearchParams();
    for (const view of boards) {
      const now = state(view);
      if (now.sort !== null) {
        kept.set(name(view, "sort"), now.sort);
        kept.set(name(view, "dir"), now.descending ? "descending" : "ascending");
      }
      if (now.filter.trim() !== "") kept.set(name(view, "filter"), now.filter);
      if (now.device !== "") kept.set(name(view, "device"), now.device);
    }
    const text = kept.toString();
    history.replaceState(null, "", text === "" ? "#" : `#${text}`);
  }

  function restore() {
    const text = location.hash.slice(1);
    if (text !== "" && !text.includes("=")) return; // a plain anchor, not a view
    const kept = new URLSearchParams(text);
    for (const view of boards) {
      show(view, {
        sort: kept.get(name(view, "sort")),
        descending: kept.get(name(view, "dir")) === "descending",
        filter: kept.get(name(view, "filter")) ?? "",
        device: kept.get(name(view, "device")) ?? "",
      });
      announce(view, counted(view));
    }
  }

  // A link to a record opens it.
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  if (boards.length > 0) {
    restore();
    addEventListener("hashchange", restore);
  }
  openTarget();
  addEventListener("hashchange", openTarget);
})();
