"use strict";
// Cells that are switched off vanish from every chart and table. Legends and the list in the head are the switches.
{
  const off = new Set();
  const list = document.querySelector("#switches");
  const state = list.querySelector("summary span");
  const all = [...list.querySelectorAll("[data-switch]")].map((item) => item.dataset.switch);
  const switches = [...document.querySelectorAll("[data-switch]")].map((item) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      if (!off.delete(item.dataset.switch)) off.add(item.dataset.switch);
      apply();
    });
    return [button, item.dataset.switch];
  });
  for (const button of list.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => {
      off.clear();
      if (button.dataset.all === "off") all.forEach((cell) => off.add(cell));
      apply();
    });
  }
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !list.open) return;
    list.open = false;
    list.querySelector("summary").focus();
  });
  // A click elsewhere folds the list, as menus do.
  document.addEventListener("pointerdown", (event) => { if (!list.contains(event.target)) list.open = false; });
  list.hidden = false;
  apply();

  function apply() {
    for (const [button, cell] of switches) button.setAttribute("aria-pressed", String(!off.has(cell)));
    for (const one of document.querySelectorAll("[data-cell]")) one.toggleAttribute("hidden", off.has(one.dataset.cell));
    document.querySelectorAll("svg.rows").forEach(close);
    document.querySelectorAll("svg.plot:has(.frontier)").forEach(join);
    state.textContent = off.size ? `${all.length - off.size} of ${all.length} shown` : `all ${all.length} shown`;
    document.dispatchEvent(new CustomEvent("cells", { detail: off }));
  }

  // Close the gaps that hidden rows leave.
  function close(svg) {
    const [row, top] = [Number(svg.dataset.row), Number(svg.dataset.top ?? 0)];
    const rows = [...svg.querySelectorAll(".row")];
    const left = rows.filter((one) => !one.hasAttribute("hidden"));
    left.forEach((one, place) => one.setAttribute("transform", `translate(0 ${top + row * place})`));
    svg.querySelector(".foot").setAttribute("transform", `translate(0 ${top + row * left.length})`);
    svg.dataset.height ??= svg.viewBox.baseVal.height;
    const height = svg.dataset.height - row * (rows.length - left.length);
    svg.setAttribute("viewBox", `0 0 ${svg.viewBox.baseVal.width} ${height}`);
  }

  // Join the cells shown that no other matches in both directions, from the slowest to the fastest. The seeds have to tell
  // a cell from the one before: each median is outside the range of the other's rates.
  function join(svg) {
    const numbers = (text) => text.split(" ").map(Number);
    const spots = [...svg.querySelectorAll("[data-at]:not([hidden])")].map((one) => {
      const [x, y, least, most] = [...numbers(one.dataset.at), ...numbers(one.dataset.rates)];
      return { x, y, least, most };
    });
    spots.sort((one, other) => one.y - other.y || other.x - one.x);
    const edge = [];
    for (const spot of spots) {
      const last = edge.at(-1);
      if (!last || (spot.x > last.most && last.x < spot.least)) edge.push(spot);
    }
    svg.querySelector(".frontier").setAttribute("d", edge.length ? `M${edge.map(({ x, y }) => `${x} ${y}`).join("L")}` : "");
  }
}
