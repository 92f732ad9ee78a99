const link = document.getElementById("link");
const told = seconds => seconds < 60 ? `${seconds < 10 ? +seconds.toPrecision(2) : Math.round(seconds)} s`
  : seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
const timed = () => {
  const speed = Number(link.elements.own.value || link.elements.speed.value);
  if (!(speed > 0)) return;
  const svg = link.closest("section").querySelector("svg"), axis = svg.querySelector(".times").dataset;
  const marks = [...svg.querySelectorAll(".mark")].map(mark => ({
    mark, y: +mark.dataset.y, seconds: +mark.dataset.cpu + mark.dataset.mb * 8 / speed,
  }));
  const low = Math.min(...marks.map(one => one.seconds)) / 1.5, high = Math.max(...marks.map(one => one.seconds)) * 1.5;
  const at = seconds => +axis.start + Math.log(seconds / low) / Math.log(high / low) * (axis.end - axis.start);
  let front = "", best = Infinity;
  for (const { mark, y, seconds } of marks.sort((a, b) => a.seconds - b.seconds || a.y - b.y)) {
    const x = at(seconds).toFixed(1), leads = y < best;
    mark.setAttribute("transform", `translate(${x} 0)`);
    mark.querySelector("circle").classList.toggle("hollow", !leads);
    const lead = mark.parentElement.querySelector(".lead");
    lead.setAttribute("d", lead.getAttribute("d").replace(/^M[\d.]+/, `M${+x + 6}`));
    if (leads) front += front ? `H${x}V${y}` : `M${x} ${y}`;
    best = Math.min(best, y);
  }
  svg.querySelector(".front").setAttribute("d", `${front}H${axis.end}`);
  svg.querySelector(".times").innerHTML = axis.times.split(" ").map(Number).filter(tick => low <= tick && tick <= high)
    .map(tick => `<text x="${at(tick).toFixed(1)}" y="${axis.y}" text-anchor="middle">${told(tick)}</text>`).join("");
  link.elements.chosen.value = `${speed} Mbit/s: fastest ${told(marks[0].seconds)}, slowest ${told(marks.at(-1).seconds)}`;
};
if (link) {
  link.hidden = false;
  link.oninput = event => {
    const { own, speed } = link.elements;
    if (event.target.name === "speed") own.value = "";
    for (const one of speed) one.checked = own.value ? false : one.checked;
    timed();
  };
  link.onsubmit = () => false;
  timed();
}
