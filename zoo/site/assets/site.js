// A link to a record opens it. Pages are complete without this script.
"use strict";

(() => {
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  openTarget();
  addEventListener("hashchange", openTarget);
})();
