"use strict";
// Tables: a click on a column's head sorts by that column, best first for numbers, then the other way round.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => sort(table, heads, head, column)));
  offer(table, heads);
}

function sort(table, heads, head, column) {
  const numeric = head.classList.contains("number");
  const now = head.getAttribute("aria-sort");
  const falling = now ? now === "ascending" : numeric;
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const keyed = [...table.tBodies[0].rows].map((row) => [key(row.cells[column], numeric), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // what was not measured stays last
    const order = numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
    return falling ? -order : order;
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function key(cell, numeric) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (!numeric) return text;
  const value = parseFloat(text);
  return Number.isNaN(value) ? null : value;
}

// A button below each table hands out the rows that it shows, in their order, as a CSV file.
function offer(table, heads) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "csv";
  button.textContent = "CSV";
  const frame = table.closest(".table");
  button.setAttribute("aria-label", `Download as CSV: ${frame.getAttribute("aria-label")}`);
  button.addEventListener("click", () => save(fileName(frame), csv(table, heads)));
  frame.after(button);
}

function csv(table, heads) {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hasAttribute("hidden"));
  const lines = [heads, ...rows.map((row) => [...row.cells])].map((cells) => cells.map(written).join(","));
  return lines.join("\r\n") + "\r\n"; // RFC 4180
}

function written(cell) {
  const text = cell.textContent.replaceAll("\u00a0", " ").trim();
  if (text === "\u2013") return ""; // not measured
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function fileName(frame) {
  const words = `${document.title} ${frame.getAttribute("aria-label").replace("Table: ", "")}`;
  return `${words.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}.csv`;
}

function save(name, text) {
  const link = document.createElement("a");
  // The mark at the start tells spreadsheets that the text is UTF-8.
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A link into a folded table opens it.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && target.closest("details");
  if (folded) {
    folded.open = true;
    target.scrollIntoView({ block: "center" });
  }
}
addEventListener("hashchange", reveal);
// Paper unfolds nothing: it gets all but the numbers of charts, which would fill pages.
addEventListener("beforeprint", () => {
  document.querySelectorAll("main details:not(.numbers)").forEach((one) => { one.open = true; });
});
reveal();
