// A link to a record opens it; the boards of the overview can be narrowed down. Pages are complete without this script.
"use strict";

(() => {
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  // An input marked with data-narrow hides the list items that do not hold every word in it.
  function narrow(input) {
    const items = Array.from(document.getElementById(input.dataset.narrow).children);
    const texts = items.map((item) => item.textContent.toLowerCase());
    const announce = input.closest(".controls").querySelector("[role=status]");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      items.forEach((item, place) => {
        item.hidden = !words.every((word) => texts[place].includes(word));
        left += item.hidden ? 0 : 1;
      });
      announce.textContent = words.length === 0 ? "" : `${left} of ${items.length}`;
    });
    input.closest(".controls").hidden = false;
  }

  openTarget();
  addEventListener("hashchange", openTarget);
  document.querySelectorAll("[data-narrow]").forEach(narrow);
})();
