// Elements and numbers that both halves of the compare page make. Texts enter the page as text and nothing else.
"use strict";

const zooParts = (() => {
  const page = (selector) => document.querySelector(selector);

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function cell(tag, className, ...content) {
    const element = make(tag, undefined, className);
    element.append(...content.filter((item) => item !== null));
    return element;
  }

  function isolated(text) { return make("bdi", text); }

  function option(value, text) {
    const element = document.createElement("option");
    element.value = value;
    element.textContent = text;
    return element;
  }

  function side(letter) {
    const element = make("span", letter, `side side-${letter.toLowerCase()}`);
    return element;
  }

  function signed(value) {
    const size = Math.abs(value);
    const text = size === 0 ? "0" : size >= 1e6 || size < 1e-4 ? size.toExponential(2) : String(Number(size.toPrecision(3)));
    return value < 0 ? `\u2212${text}` : value > 0 ? `+${text}` : text;
  }

  // A difference with as many decimals as the values that it is of.
  function rounded(value, like) {
    const decimals = /^[^a-z]*\.(\d+)$/.exec(like)?.[1].length ?? 0;
    const text = Math.abs(value).toFixed(decimals);
    if (Number(text) === 0 || text.includes("e")) return signed(value);
    return `${value < 0 ? "\u2212" : "+"}${text}`;
  }

  return { page, make, cell, isolated, option, side, signed, rounded };
})();
