// Which parts of two texts are not in the other: the longest common subsequence of their words or characters.
"use strict";

const zooDiff = (() => {
  // Scripts that write words without spaces are compared by character.
  const unspaced = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
  const word = new RegExp(`[${unspaced}]|(?:(?![${unspaced}])[\\p{L}\\p{M}\\p{N}])+|\\s+|.`, "gsu");
  const largest = 250000;

  function words(text) { return text.match(word) ?? []; }

  function characters(text) { return Array.from(text); }

  // One flag for each part of each side: whether the other side lacks it.
  function flags(one, other) {
    const oneLacks = new Array(one.length).fill(false), otherLacks = new Array(other.length).fill(false);
    let start = 0;
    while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
    let oneEnd = one.length, otherEnd = other.length;
    while (oneEnd > start && otherEnd > start && one[oneEnd - 1] === other[otherEnd - 1]) { oneEnd -= 1; otherEnd -= 1; }
    const n = oneEnd - start, m = otherEnd - start;
    oneLacks.fill(true, start, oneEnd);
    otherLacks.fill(true, start, otherEnd);
    if (n === 0 || m === 0 || n * m > largest) return [oneLacks, otherLacks];
    // lengths[i][j]: of the longest common subsequence of what follows i and j.
    const width = m + 1, lengths = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i -= 1) {
      for (let j = m - 1; j >= 0; j -= 1) {
        lengths[i * width + j] = one[start + i] === other[start + j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (one[start + i] === other[start + j]) {
        oneLacks[start + i] = false;
        otherLacks[start + j] = false;
        i += 1;
        j += 1;
      } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
      else j += 1;
    }
    return [oneLacks, otherLacks];
  }

  // [[text, differs], ...] for each side; neighbours of one sort are joined.
  function runs(one, other, split) {
    const parts = [split(one), split(other)];
    const lacks = flags(...parts);
    return parts.map((side, which) => {
      const found = [];
      side.forEach((part, index) => {
        const differs = lacks[which][index];
        if (found.length > 0 && found.at(-1)[1] === differs) found.at(-1)[0] += part;
        else found.push([part, differs]);
      });
      return found;
    });
  }

  return { words, characters, runs };
})();
