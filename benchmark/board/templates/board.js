for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.parentElement, table = head.closest("table"), column = head.cellIndex;
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.v ?? "";
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(x) || isNaN(y) ? y.localeCompare(x) : x - y;
    return down ? -order : order;
  });
  table.tBodies[0].append(...rows);
};

const form = document.getElementById("filter");
const filter = () => {
  const { words, count } = form.elements, wanted = words.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  for (const one of document.querySelectorAll("[data-row]")) {
    const named = !wanted.length || wanted.some(word => one.dataset.row.toLowerCase().includes(word));
    one.classList.toggle("gone", !named || !!form.elements[one.dataset.kind]?.checked);
  }
  const rows = [...document.querySelectorAll("details[data-row]")];
  count.value = `${rows.filter(row => !row.classList.contains("gone")).length} of ${rows.length} rows`;
};
if (form) {
  form.hidden = false;
  form.oninput = filter;
  form.onsubmit = () => false;
  filter();
}

const opened = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
};
window.onhashchange = opened;
window.onbeforeprint = () => document.querySelectorAll("details").forEach(one => one.open = true);
opened();
