"use strict";
const form = document.forms.filters, box = document.getElementById("studies"), count = document.getElementById("count");
const numbers = node => new Set(node.dataset.positive.split(" ").filter(Boolean));
const differing = (a, b) => [...a].filter(x => !b.has(x)).length + [...b].filter(x => !a.has(x)).length;
const studies = [...box.children].map((card, at) => ({
  card, at, reference: numbers(card),
  columns: [...card.querySelectorAll("[data-run]")].map(node => ({
    node, run: node.dataset.run, positive: numbers(node),
    chips: [...node.querySelectorAll("[data-kind]")].map(chip => chip.dataset),
  })),
}));

// Mean over the shown runs of a study's F1, 1 where neither text calls anything present.
const f1 = (study, columns) => columns.reduce((sum, {positive}) => {
  const total = positive.size + study.reference.size;
  return sum + (total ? 1 - differing(positive, study.reference) / total : 1);
}, 0) / columns.length;

// Conditions in which two shown runs differ, over all pairs; with one run, it and the reference.
const disagreement = (study, columns) => {
  const texts = columns.length > 1 ? columns.map(column => column.positive) : [study.reference, ...columns.map(column => column.positive)];
  return texts.reduce((sum, text, at) => sum + texts.slice(0, at).reduce((rest, other) => rest + differing(text, other), 0), 0);
};
const orders = {
  "": study => study.at,
  best: (study, columns) => -f1(study, columns),
  worst: f1,
  disagreement: (study, columns) => -disagreement(study, columns),
};

function update() {
  const hospital = form.hospital.value, finding = form.finding.value, kind = form.kind.value;
  const runs = new Set([...form.querySelectorAll("[name=run]:checked")].map(input => input.value));
  const wanted = chip => (!finding || chip.condition === finding) && (!kind || chip.kind === kind);
  const shown = [];
  for (const study of studies) {
    for (const column of study.columns) column.node.hidden = !runs.has(column.run);
    const columns = study.columns.filter(column => runs.has(column.run));
    const fits = (!hospital || study.card.dataset.hospital === hospital)
      && (!(finding || kind) || columns.some(column => column.chips.some(wanted)));
    study.card.hidden = !fits;
    study.key = columns.length ? orders[form.sort.value](study, columns) : study.at;
    if (fits) shown.push(study);
  }
  box.append(...[...studies].sort((a, b) => a.key - b.key || a.at - b.at).map(study => study.card));
  for (const line of document.querySelectorAll("[data-line]")) {
    line.hidden = !runs.has(line.dataset.line);
    const chips = shown.flatMap(study => study.columns.filter(column => column.run === line.dataset.line)).flatMap(column => column.chips);
    [...line.querySelectorAll(".count")].forEach((cell, at) => {
      cell.textContent = chips.filter(chip => chip.kind === ["agrees", "missed", "invented"][at] && (!finding || chip.condition === finding)).length;
    });
  }
  const chosen = [...form.querySelectorAll("select")].filter(select => select.value).map(select => (select.name === "kind" ? "" : `${select.name}: `) + select.selectedOptions[0].text);
  count.textContent = `${shown.length} of ${studies.length} studies` + (chosen.length ? ` (${chosen.join(", ")})` : "");
}
form.addEventListener("change", update);
form.addEventListener("reset", () => setTimeout(update));
form.addEventListener("submit", event => event.preventDefault());
form.hidden = false;
update();
