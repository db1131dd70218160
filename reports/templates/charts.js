"use strict";
// Values of charts: a pointer asks for the nearest one, the arrow keys go from one to the next, Escape ends it.
{
  const REACH = 26; // pixels
  const told = new Map(); // value -> its words, which were its title
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let asked = null;

  for (const svg of document.querySelectorAll("svg.plot")) prepare(svg);

  function prepare(svg) {
    for (const datum of svg.querySelectorAll(".datum")) {
      const title = datum.querySelector("title");
      told.set(datum, title.textContent);
      title.remove(); // the browser would show it beside ours
    }
    svg.setAttribute("role", "application");
    svg.setAttribute("aria-roledescription", "chart");
    svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")} The arrow keys read the values.`);
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => show(nearest(svg, event)));
    svg.addEventListener("pointerdown", (event) => show(nearest(svg, event)));
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(null); });
    svg.addEventListener("keydown", (event) => step(svg, event));
    svg.addEventListener("blur", () => show(null));
  }

  function shown(svg) {
    return [...svg.querySelectorAll(".datum")].filter((datum) => !datum.closest("[hidden]"));
  }

  function nearest(svg, event) {
    const under = event.target.closest?.(".datum");
    if (under) return under;
    let best = null, least = REACH;
    for (const datum of shown(svg)) {
      const box = spot(datum);
      const far = Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
      if (far < least) [best, least] = [datum, far];
    }
    return best;
  }

  // The mark of a value says where it is; its intervals may reach far.
  function spot(datum) {
    return (datum.querySelector(".mark, .mean, .cross, rect") ?? datum).getBoundingClientRect();
  }

  function show(datum) {
    if (datum === asked) return;
    asked?.classList.remove("asked");
    document.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
    document.querySelectorAll(".dimmed").forEach((one) => one.classList.remove("dimmed"));
    asked = datum;
    tip.classList.toggle("on", datum !== null);
    tip.textContent = datum ? told.get(datum) : "";
    if (!datum) return;
    datum.classList.add("asked");
    const cell = datum.closest("[data-cell]");
    const svg = datum.closest("svg.plot");
    if (cell) {
      svg.classList.add("dimmed");
      for (const one of svg.querySelectorAll("[data-cell]")) {
        one.classList.toggle("lit", one.dataset.cell === cell.dataset.cell);
      }
    }
    place(spot(datum));
  }

  function place(box) {
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.x + box.width / 2 - width / 2), document.documentElement.clientWidth - width - 8);
    const above = box.y - height - 10;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 60 ? above : box.bottom + 10}px`; // not under the head of the page
  }

  function step(svg, event) {
    const data = shown(svg);
    const at = data.indexOf(asked);
    const next = {
      ArrowRight: () => at + 1, ArrowLeft: () => (at < 0 ? data.length : at) - 1,
      ArrowDown: () => other(data, at, 1), ArrowUp: () => other(data, at, -1),
      Home: () => 0, End: () => data.length - 1,
    }[event.key];
    if (event.key === "Escape") {
      show(null);
      return;
    }
    if (!next || event.altKey || event.ctrlKey || event.metaKey || !data.length) return;
    event.preventDefault();
    const datum = data[Math.min(Math.max(next(), 0), data.length - 1)];
    datum.scrollIntoView({ block: "nearest", inline: "nearest" });
    show(datum);
  }

  // The first value of the row or the cell before or after that of a value.
  function other(data, at, direction) {
    if (at < 0) return direction > 0 ? 0 : data.length - 1;
    const home = (datum) => datum.closest(".row, .cell") ?? datum;
    const groups = [...new Set(data.map(home))];
    const to = groups[Math.min(Math.max(groups.indexOf(home(data[at])) + direction, 0), groups.length - 1)];
    return data.findIndex((datum) => home(datum) === to);
  }

  // The hint to swipe is for drawings that are wider than the screen.
  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) target.classList.toggle("scrolls", target.scrollWidth > target.clientWidth);
  });
  for (const drawing of document.querySelectorAll(".drawing")) widths.observe(drawing);

  document.addEventListener("cells", () => show(null));
  addEventListener("scroll", () => { if (asked) place(spot(asked)); }, { passive: true });
}
